import { describe, expect, it } from 'vitest';
import { CoalescedSync } from './coalesced-sync.ts';

/** A sync whose runs are ended by the test. */
function steppedSync(): { sync: CoalescedSync; runs: PromiseWithResolvers<void>[] } {
  const runs: PromiseWithResolvers<void>[] = [];
  const sync = new CoalescedSync(() => {
    const run = Promise.withResolvers<void>();
    runs.push(run);
    return run.promise;
  });
  return { sync, runs };
}

describe('CoalescedSync', () => {
  it('is shared by all who ask while another one is running', async () => {
    const { sync, runs } = steppedSync();
    const first = sync.cover();
    const others = [sync.cover(), sync.cover(), sync.cover()];
    expect(runs).toHaveLength(1);
    runs[0]?.resolve();
    await first;
    expect(runs).toHaveLength(2);
    runs[1]?.resolve();
    await Promise.all(others);
    expect(runs).toHaveLength(2);
  });

  it('does not let one that began before a write stand for the write', async () => {
    const { sync, runs } = steppedSync();
    const before = sync.cover();
    let isCovered = false;
    const after = sync.cover().then(() => (isCovered = true));
    runs[0]?.resolve();
    await before;
    expect(isCovered).toBe(false);
    runs[1]?.resolve();
    await after;
  });

  it('goes on after a failure, which only those are told whom it concerns', async () => {
    const { sync, runs } = steppedSync();
    const failing = sync.cover();
    const next = sync.cover();
    runs[0]?.reject(new Error('the disk is broken'));
    await expect(failing).rejects.toThrow('the disk is broken');
    runs[1]?.resolve();
    await next;
    const last = sync.cover();
    runs[2]?.resolve();
    await last;
  });
});
