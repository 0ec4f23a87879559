import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { judgeSequence } from './sequence-verdict.ts';
import { SessionGone, SlotTable } from './slot-table.ts';
import type { Slot } from './slot-table.ts';

/** The server's side of a session: what it did last on each slot (RFC 8881 §2.10.6.1). */
class ServerSlots {
  readonly #last = new Map<number, { sequenceId: number; request: number }>();
  readonly done: number[] = [];

  /** @returns what it says to a request, which may be one that it has seen before */
  receive(
    slotId: number,
    sequenceId: number,
    request: number,
  ): 'done' | 'fromCache' | 'misordered' | 'falseRetry' {
    const last = this.#last.get(slotId) ?? { sequenceId: 0, request: -1 };
    if (sequenceId === last.sequenceId) return request === last.request ? 'fromCache' : 'falseRetry';
    if (sequenceId !== last.sequenceId + 1) return 'misordered';
    this.#last.set(slotId, { sequenceId, request });
    this.done.push(request);
    return 'done';
  }
}

describe('SlotTable', () => {
  it('has every request done once and in order of slots, however answers and requests are lost', async () => {
    const fate = fc.constantFrom('answered', 'requestLost', 'answerLost', 'refused');
    const plan = fc.record({
      slots: fc.integer({ min: 1, max: 5 }),
      fates: fc.array(fc.array(fate, { maxLength: 4 }), { minLength: 1, maxLength: 30 }),
      order: fc.infiniteStream(fc.nat()),
    });
    await fc.assert(
      fc.asyncProperty(plan, async ({ slots, fates, order }) => {
        const table = new SlotTable(slots);
        const server = new ServerSlots();
        const held = new Set<number>();
        const ready: (() => void)[] = [];
        const turn = (): Promise<void> => new Promise((go) => ready.push(go));
        const send = async (request: number, attempts: readonly string[]): Promise<void> => {
          let slot = await table.acquire();
          expect(held.has(slot.id)).toBe(false);
          held.add(slot.id);
          for (const outcome of [...attempts, 'answered']) {
            await turn();
            if (outcome === 'requestLost') continue;
            if (outcome === 'refused') {
              // Before it counted: it gives the slot back and comes again, perhaps on another one.
              if (server.done.includes(request)) continue;
              held.delete(slot.id);
              table.giveBack(slot);
              slot = await table.acquire();
              held.add(slot.id);
              continue;
            }
            expect(['done', 'fromCache']).toContain(server.receive(slot.id, slot.sequenceId, request));
            if (outcome === 'answered') break;
          }
          held.delete(slot.id);
          table.complete(slot);
        };
        const sending = Promise.all(fates.map((attempts, request) => send(request, attempts)));
        let isDone = false;
        void sending.finally(() => {
          isDone = true;
        });
        for (const pick of order) {
          await new Promise((resolve) => setImmediate(resolve));
          if (isDone) break;
          ready.splice(pick % Math.max(ready.length, 1), 1)[0]?.();
        }
        await sending;
        expect(server.done.toSorted((a, b) => a - b)).toEqual(fates.map((_, request) => request));
        expect(table.busy).toBe(0);
      }),
      { numRuns: 40 },
    );
  });

  it('lets those wait who find no slot, in their order', async () => {
    const table = new SlotTable(1);
    const first = await table.acquire();
    const order: string[] = [];
    const others = ['b', 'c'].map((name) =>
      table.acquire().then((slot) => {
        order.push(name);
        table.complete(slot);
      }),
    );
    expect(table.highestBusy).toBe(0);
    table.complete(first);
    await Promise.all(others);
    expect(order).toEqual(['b', 'c']);
    expect((await table.acquire()).sequenceId).toBe(4);
  });

  it('goes from the last number to 0, as the protocol has it', async () => {
    const table = new SlotTable(1);
    const slot = await table.acquire();
    Object.assign(slot, { sequenceId: 0xffff_ffff });
    table.complete(slot);
    expect((await table.acquire()).sequenceId).toBe(0);
  });

  it('does without a slot that the server has not, and ends with the last one', async () => {
    const table = new SlotTable(2);
    const [first, second]: Slot[] = [await table.acquire(), await table.acquire()];
    const waiting = table.acquire();
    if (first === undefined || second === undefined) throw new Error('no slots');
    table.retire(second);
    expect(table.size).toBe(1);
    table.retire(first);
    await expect(waiting).rejects.toBeInstanceOf(SessionGone);
    await expect(table.acquire()).rejects.toBeInstanceOf(SessionGone);
  });
});

it.each([
  [0, 'done'],
  [10008, 'sendAgain'],
  [10011, 'newSession'],
  [10052, 'newSession'],
  [10053, 'retireSlot'],
  [10055, 'bindFirst'],
  [10063, 'newSession'],
  [10068, 'answerLost'],
  [10076, 'newSession'],
  [10078, 'newSession'],
  [10065, undefined],
])('status %i of SEQUENCE means %s', (status, verdict) => {
  expect(judgeSequence(status)).toBe(verdict);
});
