import { expect, it } from 'vitest';
import { isLeftOver } from './left-over.ts';
import { parseStagingName, StagingSlot } from './staging-slot.ts';
import type { StagedName } from './staging-slot.ts';

const dayMs = 24 * 60 * 60 * 1000;
const now = 10 * dayMs;

function staged(ownerId: string): StagedName {
  return { ownerId, kind: 'temp', isUnderWay: false };
}

it('is what this hub has staged, however new it is', () => {
  expect(isLeftOver(staged('hub-1'), 'hub-1', now, now)).toBe(true);
  expect(isLeftOver(staged('hub-1'), 'hub-1', undefined, now)).toBe(true);
});

it('is what another hub has staged only when it is older than a day', () => {
  expect(isLeftOver(staged('hub-2'), 'hub-1', now - dayMs, now)).toBe(false);
  expect(isLeftOver(staged('hub-2'), 'hub-1', now - dayMs - 1, now)).toBe(true);
  expect(isLeftOver(staged('hub-2'), 'hub-1', undefined, now)).toBe(false);
});

it('is not what a write of this process is about, by either of its names', () => {
  const slot = new StagingSlot('hub-1');
  const judge = (name: string): boolean | undefined => {
    const parsed = parseStagingName(name);
    return parsed && isLeftOver(parsed, 'hub-1', 0, now);
  };
  expect([judge(slot.tempName), judge(slot.intentName)]).toEqual([false, false]);
  slot[Symbol.dispose]();
  expect([judge(slot.tempName), judge(slot.intentName)]).toEqual([true, true]);
});

it.each(['', 'notes.tmp', 'hub-1.tmp', 'hub-1.0000.tmp', '.holdfast-x.tmp'])(
  'knows %j for none of ours',
  (name) => {
    expect(parseStagingName(name)).toBeUndefined();
  },
);
