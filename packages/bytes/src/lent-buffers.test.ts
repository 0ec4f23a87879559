import { describe, expect, it } from 'vitest';
import { LentBuffers } from './lent-buffers.ts';

describe('LentBuffers', () => {
  it('makes no more buffers than it may, and hands them on in the order of asking', async () => {
    const buffers = new LentBuffers({ bufferBytes: 16, count: 2 });
    const [first, second] = await Promise.all([buffers.take(), buffers.take()]);
    const order: string[] = [];
    const third = buffers.take().then((buffer) => (order.push('third'), buffer));
    const fourth = buffers.take().then((buffer) => (order.push('fourth'), buffer));
    buffers.give(second);
    expect(await third).toBe(second);
    buffers.give(first);
    expect(await fourth).toBe(first);
    expect(order).toEqual(['third', 'fourth']);
    expect(buffers.made).toBe(2);
    buffers.give(first);
    buffers.give(second);
    expect(buffers.lent).toBe(0);
  });

  it('uses a buffer that came back before it makes another', async () => {
    const buffers = new LentBuffers({ bufferBytes: 16, count: 8 });
    for (let round = 0; round < 5; round += 1) buffers.give(await buffers.take());
    expect(buffers.made).toBe(1);
  });

  it('takes up one offer for each who waits, the oldest first', async () => {
    const buffers = new LentBuffers({ bufferBytes: 16, count: 2 });
    const held = [await buffers.take(), await buffers.take()] as const;
    const let1 = (): void => buffers.give(held[0]);
    const let2 = (): void => buffers.give(held[1]);
    buffers.offer(let1);
    buffers.offer(let2);
    expect(await buffers.take()).toBe(held[0]);
    expect(await buffers.take()).toBe(held[1]);
  });

  it('takes up an offer at once while somebody waits, and none that was taken back', async () => {
    const buffers = new LentBuffers({ bufferBytes: 16, count: 1 });
    const only = await buffers.take();
    const calls: string[] = [];
    buffers.offer(() => calls.push('taken back'))();
    const next = buffers.take();
    expect(calls).toEqual([]);
    buffers.offer(() => {
      calls.push('at once');
      buffers.give(only);
    });
    expect(await next).toBe(only);
    expect(calls).toEqual(['at once']);
  });

  it('refuses a buffer that is not lent', async () => {
    const buffers = new LentBuffers({ bufferBytes: 16, count: 1 });
    const buffer = await buffers.take();
    buffers.give(buffer);
    expect(() => buffers.give(buffer)).toThrow(RangeError);
    expect(() => buffers.give(Buffer.alloc(16))).toThrow(RangeError);
  });
});
