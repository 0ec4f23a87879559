import { describe, expect, it } from 'vitest';
import { SessionTable } from './session-table.ts';

class Session implements AsyncDisposable {
  isEnded = false;
  readonly gate: Promise<void>;

  constructor(gate: Promise<void> = Promise.resolve()) {
    this.gate = gate;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.gate;
    this.isEnded = true;
  }
}

describe('SessionTable', () => {
  it('shares a session, and ends it with the last user', async () => {
    const table = new SessionTable<Session>();
    const make = async (): Promise<Session> => new Session();
    const [first, second] = await Promise.all([table.enter('a', make), table.enter('a', make)]);
    expect(first).toBe(second);
    await table.leave('a', first);
    expect(first.isEnded).toBe(false);
    await table.leave('a', first);
    expect(first.isEnded).toBe(true);
    expect(await table.enter('a', make)).not.toBe(first);
  });

  it('begins no new session before the one before it has ended', async () => {
    const table = new SessionTable<Session>();
    const { promise, resolve } = Promise.withResolvers<void>();
    const first = await table.enter('a', async () => new Session(promise));
    const ending = table.forget('a');
    let wasEnded: boolean | undefined;
    const entering = table.enter('a', async () => {
      wasEnded = first.isEnded;
      return new Session();
    });
    resolve();
    await ending;
    await entering;
    expect(wasEnded).toBe(true);
  });

  it('keeps nothing of a session that could not begin', async () => {
    const table = new SessionTable<Session>();
    await expect(table.enter('a', () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    const session = await table.enter('a', async () => new Session());
    expect(session.isEnded).toBe(false);
  });

  it('does not count those out who used a session that was forgotten', async () => {
    const table = new SessionTable<Session>();
    const make = async (): Promise<Session> => new Session();
    const first = await table.enter('a', make);
    await table.forget('a');
    expect(first.isEnded).toBe(true);
    const second = await table.enter('a', make);
    await table.leave('a', first);
    expect(second.isEnded).toBe(false);
    await table[Symbol.asyncDispose]();
    expect(second.isEnded).toBe(true);
  });
});
