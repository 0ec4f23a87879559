import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createPacer } from './pacer-state.ts';
import { advance, ask, register, takeFree, unregister, withdraw } from './pacer.ts';
import { shareOf } from './present-share.ts';
import { Simulation } from './testing/simulated-senders.ts';
import type { Sender, SenderSpec } from './testing/simulated-senders.ts';
import { weightedShares } from './shares.ts';

const BYTES_PER_S = 125_000;
const MIB = 1024 * 1024;
const priority = fc.integer({ min: 1, max: 32 });
const budgetMbps = fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 20, max: 1000 }));
const runs = { numRuns: 25 };

/** Mbit/s of a sender between two times in ms. */
function rate(simulation: Simulation, from: number, to: number, sender?: Sender): number {
  return simulation.granted(from, to, sender) / ((to - from) * 125);
}

describe('the budget', () => {
  const sender: fc.Arbitrary<SenderSpec> = fc
    .record({
      priority: fc.option(priority, { nil: undefined }),
      size: fc.option(fc.integer({ min: 1, max: 4 * MIB }), { nil: undefined }),
      receiverMbps: fc.option(fc.integer({ min: 1, max: 300 }), { nil: undefined }),
      gapMs: fc.constantFrom(0, 0, 0.3, 5, 300),
      startAt: fc.integer({ min: 0, max: 2500 }),
      lastsMs: fc.integer({ min: 1, max: 3000 }),
    })
    .map(({ lastsMs, ...spec }) => ({ ...spec, endAt: spec.startAt + lastsMs }));

  test('is exceeded by at most 2 % in any second, whoever comes, goes and takes how much', () => {
    fc.assert(
      fc.property(budgetMbps, fc.array(sender, { minLength: 1, maxLength: 20 }), (budget, specs) => {
        const simulation = new Simulation({ budgetMbps: budget });
        for (const spec of specs) simulation.add(spec);
        simulation.run(4000);
        expect(simulation.most(1000)).toBeLessThanOrEqual(budget * BYTES_PER_S * 1.02 + 1);
      }),
      runs,
    );
  });

  test('is used to 98 % at least in any second while there is demand', () => {
    fc.assert(
      fc.property(budgetMbps, fc.array(sender, { maxLength: 10 }), priority, (budget, specs, greedy) => {
        const simulation = new Simulation({ budgetMbps: budget });
        simulation.add({ priority: greedy });
        for (const spec of specs) simulation.add(spec);
        simulation.run(3500);
        for (let from = 0; from <= 2500; from += 50) {
          expect(simulation.granted(from, from + 1000)).toBeGreaterThanOrEqual(budget * BYTES_PER_S * 0.98);
        }
      }),
      runs,
    );
  });

  test('is kept with blocks of any size, but for the last block', () => {
    const block = fc.integer({ min: 1, max: 2 * MIB });
    fc.assert(
      fc.property(budgetMbps, fc.array(block, { minLength: 1, maxLength: 8 }), (budget, blocks) => {
        fc.pre(blocks.some((bytes) => bytes > 1000));
        const simulation = new Simulation({ budgetMbps: budget });
        for (const blockBytes of blocks) simulation.add({ blockBytes: Math.max(1000, blockBytes) });
        simulation.run(3000);
        const most = budget * BYTES_PER_S * 1.02 + Math.max(...blocks, 1000);
        expect(simulation.most(1000)).toBeLessThanOrEqual(most + 1);
      }),
      runs,
    );
  });
});

describe('greedy transfers', () => {
  const priorities = fc.array(priority, { minLength: 2, maxLength: 24 });

  test('share in proportion to their priorities within 5 %, and none gets less than a lower one', () => {
    const gapMs = fc.constantFrom(0, 0.1, 1);
    fc.assert(
      fc.property(fc.integer({ min: 50, max: 1000 }), priorities, gapMs, (budget, weights, gap) => {
        const simulation = new Simulation({ budgetMbps: budget, minTransferMbps: 0 });
        for (const weight of weights) simulation.add({ priority: weight, gapMs: gap });
        simulation.run(5000);
        const total = weights.reduce((a, b) => a + b, 0);
        const rates = simulation.senders.map((sender) => rate(simulation, 1000, 5000, sender));
        for (const [index, weight] of weights.entries()) {
          const share = (budget * weight) / total;
          expect(rates[index]).toBeGreaterThan(share * 0.95);
          expect(rates[index]).toBeLessThan(share * 1.05);
          for (const [other, lower] of weights.entries()) {
            if (lower < weight) expect(rates[index] ?? 0).toBeGreaterThan((rates[other] ?? 0) * 0.99);
          }
        }
      }),
      runs,
    );
  });

  test('none starves: each gets its max-min share within 10 % in any 2 seconds', () => {
    fc.assert(
      fc.property(fc.integer({ min: 4, max: 60 }), priorities, (budget, weights) => {
        const simulation = new Simulation({ budgetMbps: budget, minTransferMbps: 1 });
        for (const weight of weights) simulation.add({ priority: weight });
        simulation.run(5000);
        const transfers = weights.map((weight) => ({ weight }));
        const shares = weightedShares({ budget, floor: 1, transfers });
        for (const from of [500, 1000, 2000, 3000]) {
          for (const [index, sender] of simulation.senders.entries()) {
            expect(rate(simulation, from, from + 2000, sender)).toBeGreaterThan((shares[index] ?? 0) * 0.9);
          }
        }
      }),
      runs,
    );
  });

  test('share evenly, whatever their priorities, when their floors exceed the budget', () => {
    const simulation = new Simulation({ budgetMbps: 20, minTransferMbps: 1 });
    for (let index = 0; index < 40; index += 1) simulation.add({ priority: 1 + (index % 32) });
    simulation.run(5000);
    for (const sender of simulation.senders) {
      expect(rate(simulation, 1000, 3000, sender)).toBeGreaterThan(0.45);
      expect(rate(simulation, 1000, 3000, sender)).toBeLessThan(0.55);
    }
  });

  test('that are endless get a quarter each of four, and a file of 1 MiB that joins overtakes them', () => {
    const simulation = new Simulation({ budgetMbps: 80 });
    for (let index = 0; index < 4; index += 1) simulation.add();
    simulation.run(3000);
    for (const sender of simulation.senders) {
      expect(Math.abs(rate(simulation, 1000, 3000, sender) - 20)).toBeLessThan(0.5);
    }
    const file = simulation.add({ size: MIB });
    simulation.run(6000);
    const evenMs = MIB / ((80 * 125) / 5);
    expect((file.doneAt ?? Infinity) - 3000).toBeLessThan(evenMs / 3);
  });

  test.each([1, 8, 50])(
    'keep their floor against an endless row of small files of %d at a time',
    (atOnce) => {
      for (const client of [undefined, 'the same']) {
        const simulation = new Simulation({ budgetMbps: 100, minTransferMbps: 1 });
        const large = simulation.add({ priority: 1, client });
        const file: SenderSpec = { size: 16_384, client };
        for (let index = 0; index < atOnce; index += 1) simulation.add(file);
        simulation.run(4000, (done) => {
          simulation.senders.splice(simulation.senders.indexOf(done), 1);
          simulation.add(file);
        });
        expect(rate(simulation, 1000, 3000, large)).toBeGreaterThan(0.9);
        expect(rate(simulation, 1000, 3000)).toBeGreaterThan(98);
      }
    },
  );
});

describe('what one cannot take', () => {
  test('goes to the others in proportion, and the slow one is not slowed down', () => {
    fc.assert(
      fc.property(priority, priority, priority, (slow, one, other) => {
        const simulation = new Simulation({ budgetMbps: 100, minTransferMbps: 0 });
        const held = simulation.add({ priority: slow, receiverMbps: 1 });
        const first = simulation.add({ priority: one });
        const second = simulation.add({ priority: other });
        simulation.run(9000);
        expect(rate(simulation, 1000, 9000, held)).toBeGreaterThan(0.9);
        const ratio = rate(simulation, 1000, 9000, first) / rate(simulation, 1000, 9000, second);
        expect(ratio / (one / other)).toBeGreaterThan(0.95);
        expect(ratio / (one / other)).toBeLessThan(1.05);
        expect(rate(simulation, 1000, 9000)).toBeGreaterThan(98);
      }),
      runs,
    );
  });

  test('is the whole budget, at once, after the others have left', () => {
    const simulation = new Simulation({ budgetMbps: 100 });
    const light = simulation.add({ priority: 1 });
    const heavy = [simulation.add({ priority: 32 }), simulation.add({ priority: 32 })];
    simulation.run(2000);
    expect(rate(simulation, 1000, 2000, light)).toBeLessThan(2);
    for (const sender of heavy) simulation.leave(sender);
    simulation.run(2100);
    expect(rate(simulation, 2000, 2100, light)).toBeGreaterThan(90);
  });

  test('is not counted to a transfer that sends parts of its file again and again', () => {
    const pacer = createPacer({ budgetMbps: 100, minTransferMbps: 1, perClientMbps: null }, 0);
    const transfer = register(pacer, { client: 'a', size: 1000 }, 0);
    expect(shareOf(pacer, transfer)).toBe(100 * BYTES_PER_S);
    transfer.sent = 1001;
    const simulation = new Simulation({ budgetMbps: 100 });
    const again = simulation.add({ size: undefined });
    const fresh = simulation.add({ priority: 32 });
    simulation.run(2000);
    expect(rate(simulation, 1000, 2000, fresh) / rate(simulation, 1000, 2000, again)).toBeGreaterThan(30);
  });
});

describe('the limit per client', () => {
  test('holds in any second over all transfers of a client, and others get the rest', () => {
    const transfers = fc.array(priority, { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 40 }), transfers, transfers, (limit, capped, single) => {
        const simulation = new Simulation({ budgetMbps: 100, minTransferMbps: 0, perClientMbps: limit });
        for (const weight of capped) simulation.add({ priority: weight, client: 'one' });
        for (const weight of single) simulation.add({ priority: weight });
        simulation.run(4000);
        expect(simulation.most(1000, 'one')).toBeLessThanOrEqual(limit * BYTES_PER_S * 1.02 + 1);
        const possible = Math.min(100, limit * (1 + single.length));
        expect(rate(simulation, 1000, 4000)).toBeGreaterThan(possible * 0.98);
      }),
      runs,
    );
  });

  test('keeps the proportions among the transfers of the client', () => {
    fc.assert(
      fc.property(priority, priority, fc.boolean(), (one, other, contended) => {
        const simulation = new Simulation({ budgetMbps: 100, minTransferMbps: 0, perClientMbps: 20 });
        const first = simulation.add({ priority: one, client: 'a' });
        const second = simulation.add({ priority: other, client: 'a' });
        for (let index = 0; index < (contended ? 8 : 1); index += 1) simulation.add({ priority: 2 });
        simulation.run(6000);
        const ratio = rate(simulation, 1000, 6000, first) / rate(simulation, 1000, 6000, second);
        expect(ratio / (one / other)).toBeGreaterThan(0.94);
        expect(ratio / (one / other)).toBeLessThan(1.06);
      }),
      runs,
    );
  });

  test('is not escaped by many small transfers one after the other', () => {
    const simulation = new Simulation({ budgetMbps: 100, perClientMbps: 4 });
    const file: SenderSpec = { size: 5000, client: 'a' };
    simulation.add(file);
    simulation.run(3000, () => simulation.add(file));
    expect(simulation.senders.length).toBeGreaterThan(200);
    expect(simulation.most(1000)).toBeLessThanOrEqual(4 * BYTES_PER_S * 1.02 + 5000);
  });

  test('leaves nothing behind of clients that have gone', () => {
    const simulation = new Simulation({ budgetMbps: 100, perClientMbps: 4 });
    for (let index = 0; index < 500; index += 1) simulation.add({ size: 5000, startAt: index });
    simulation.run(3000);
    simulation.add({ size: 1 });
    simulation.run(4000);
    expect(simulation.senders.every(({ doneAt }) => doneAt !== undefined)).toBe(true);
    expect(simulation.pacer.active.size).toBe(0);
    expect(simulation.pacer.activeShares).toBeLessThan(1e-6);
    expect(simulation.pacer.clients.size).toBeLessThan(50);
  });
});

test('new settings hold after 100 ms at most, with a budget that falls or rises', () => {
  fc.assert(
    fc.property(
      budgetMbps,
      budgetMbps,
      fc.array(priority, { minLength: 1, maxLength: 6 }),
      (before, after, weights) => {
        const simulation = new Simulation({ budgetMbps: before });
        for (const weight of weights) simulation.add({ priority: weight });
        simulation.run(1500);
        simulation.configure({ budgetMbps: after, minTransferMbps: 1, perClientMbps: null });
        simulation.run(4000);
        const late = simulation.grants
          .filter(({ at }) => at >= 1600)
          .reduce((sum, { bytes }) => sum + bytes, 0);
        const possible = after * BYTES_PER_S * 2.4;
        // Blocks that were asked for before still have their old size.
        const old = weights.length * Math.max(1400, Math.min(524_288, before * 1000));
        expect(late).toBeLessThanOrEqual(possible * 1.02 + old);
        expect(late).toBeGreaterThanOrEqual(possible * 0.98 - old);
      },
    ),
    runs,
  );
});

test('a limit per client that is set, changed and lifted holds from then on', () => {
  const simulation = new Simulation({ budgetMbps: 100 });
  const sender = simulation.add();
  for (const [index, perClientMbps] of [5, 20, null].entries()) {
    const at = (index + 1) * 1000;
    simulation.run(at);
    simulation.configure({ budgetMbps: 100, minTransferMbps: 1, perClientMbps });
    simulation.run(at + 1000);
    expect(Math.abs(rate(simulation, at + 100, at + 1000, sender) / (perClientMbps ?? 100) - 1)).toBeLessThan(
      0.1,
    );
  }
});

describe('asking', () => {
  const settings = { budgetMbps: 8, minTransferMbps: 1, perClientMbps: null };

  test('costs no look at the clock while the budget has something left and nobody waits', () => {
    const pacer = createPacer(settings, 0);
    const transfer = register(pacer, { client: 'a', size: null }, 0);
    const burst = pacer.bucket.limit.burstBytes;
    expect(takeFree(pacer, transfer, burst - 1)).toBe(true);
    expect(takeFree(pacer, transfer, 1)).toBe(true);
    expect(takeFree(pacer, transfer, 1)).toBe(false);
  });

  test('never passes those that wait', () => {
    const pacer = createPacer(settings, 0);
    const [one, other] = [
      register(pacer, { client: 'a', size: null }, 0),
      register(pacer, { client: 'b', size: null }, 0),
    ];
    expect(ask(pacer, one, { bytes: 100_000 }, 0)).toBe(true);
    const first = { bytes: 1000 };
    const second = { bytes: 1000 };
    expect(ask(pacer, one, first, 0)).toBe(false);
    expect(takeFree(pacer, other, 1)).toBe(false);
    expect(ask(pacer, other, second, 0)).toBe(false);
    const { nextAt } = advance(pacer, 0);
    expect(nextAt).toBeGreaterThan(70);
    // The one that took a large block starts behind.
    expect(advance(pacer, nextAt ?? 0).granted).toEqual([second]);
    expect(advance(pacer, 1000).granted).toEqual([first]);
    expect(advance(pacer, 1000).nextAt).toBe(null);
  });

  test('an ask that is withdrawn or whose transfer ends is never granted', () => {
    const pacer = createPacer(settings, 0);
    const [one, other] = [
      register(pacer, { client: 'a', size: null }, 0),
      register(pacer, { client: 'b', size: null }, 0),
    ];
    ask(pacer, one, { bytes: 100_000 }, 0);
    const [gone, kept, lost] = [{ bytes: 1 }, { bytes: 2 }, { bytes: 3 }];
    ask(pacer, one, gone, 0);
    ask(pacer, one, kept, 0);
    ask(pacer, other, lost, 0);
    expect(withdraw(pacer, one, gone, 1)).toBe(true);
    expect(withdraw(pacer, one, gone, 1)).toBe(false);
    expect(unregister(pacer, other, 1)).toEqual([lost]);
    expect(advance(pacer, 1000).granted).toEqual([kept]);
    expect(unregister(pacer, one, 1000)).toEqual([]);
    expect(pacer.clients.size).toBe(0);
    expect(pacer.active.size).toBe(0);
  });
});
