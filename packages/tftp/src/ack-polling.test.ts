import { expect, test } from 'vitest';
import { AckPolling } from './ack-polling.ts';

/** Runs ACKs whose gaps depend on the way of waiting; resolves to the share of them that were polled for. */
function shareOfPolling(
  polling: AckPolling,
  gapMs: { sleep: number; poll: number },
  acks: number,
  clock = { now: 0 },
): number {
  let polled = 0;
  for (let ack = 0; ack < acks; ack += 1) {
    if (polling.polling) polled += 1;
    clock.now += polling.polling ? gapMs.poll : gapMs.sleep;
    polling.ack(clock.now);
  }
  return polled / acks;
}

test('polls where that makes the ACKs come faster', () => {
  expect(shareOfPolling(new AckPolling(1), { sleep: 0.06, poll: 0.03 }, 20_000)).toBeGreaterThan(0.9);
});

test('sleeps where polling makes them come slower, and rarely tries', () => {
  const share = shareOfPolling(new AckPolling(1), { sleep: 0.02, poll: 0.03 }, 20_000);
  expect(share).toBeGreaterThan(0);
  expect(share).toBeLessThan(0.03);
});

test('a gain too small to be worth a core is left', () => {
  expect(shareOfPolling(new AckPolling(1), { sleep: 0.03, poll: 0.029 }, 20_000)).toBeLessThan(0.03);
});

test('never polls across a network', () => {
  expect(shareOfPolling(new AckPolling(1), { sleep: 0.3, poll: 0.1 }, 20_000)).toBe(0);
});

test('never polls with a larger window', () => {
  expect(shareOfPolling(new AckPolling(8), { sleep: 0.06, poll: 0.03 }, 20_000)).toBe(0);
});

test('changes its mind when the scheduler does', () => {
  const polling = new AckPolling(1);
  const clock = { now: 0 };
  const apart = { sleep: 0.06, poll: 0.03 };
  const together = { sleep: 0.02, poll: 0.07 };
  expect(shareOfPolling(polling, apart, 5000, clock)).toBeGreaterThan(0.8);
  expect(shareOfPolling(polling, together, 20_000, clock)).toBeLessThan(0.1);
  expect(shareOfPolling(polling, apart, 40_000, clock)).toBeGreaterThan(0.6);
});

test('a client that becomes slow stops the polling at once', () => {
  const polling = new AckPolling(1);
  const clock = { now: 0 };
  shareOfPolling(polling, { sleep: 0.06, poll: 0.03 }, 1000, clock);
  expect(shareOfPolling(polling, { sleep: 5, poll: 5 }, 1000, clock)).toBeLessThan(0.05);
});
