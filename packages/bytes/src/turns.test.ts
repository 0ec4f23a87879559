import { describe, expect, it } from 'vitest';
import { Turns } from './turns.ts';

describe('Turns', () => {
  it('lets no more in than there is room for, in the order of asking', async () => {
    const turns = new Turns(2);
    const gates = Array.from({ length: 5 }, () => Promise.withResolvers<number>());
    const begun: number[] = [];
    const all = gates.map((gate, index) =>
      turns.run(() => {
        begun.push(index);
        return gate.promise;
      }),
    );
    expect(begun).toEqual([0, 1]);
    gates[1]?.resolve(1);
    await all[1];
    await Promise.resolve();
    expect(begun).toEqual([0, 1, 2]);
    for (const [index, gate] of gates.entries()) gate.resolve(index);
    expect(await Promise.all(all)).toEqual([0, 1, 2, 3, 4]);
    expect(begun).toEqual([0, 1, 2, 3, 4]);
  });

  it('goes on after one that failed', async () => {
    const turns = new Turns(1);
    const failing = turns.run(() => Promise.reject(new Error('no')));
    const next = turns.run(async () => 'in');
    await expect(failing).rejects.toThrow('no');
    expect(await next).toBe('in');
  });
});
