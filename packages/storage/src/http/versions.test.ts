import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isCoarse, validatorOf } from './entry.ts';
import { RecentVersions } from './recent-versions.ts';

const at = (ms: number) => ({ validator: `${Math.floor(ms / 1000)}-5`, modifiedAt: new Date(ms) });

describe('a validator', () => {
  const traits = { isFolder: false, size: 0x1234, modifiedMs: 0x56273e80 * 1000 };

  it("is the same with and without nginx's ETag, and weak or not", () => {
    const plain = validatorOf({ ...traits, etag: undefined });
    expect(validatorOf({ ...traits, etag: '"56273e80-1234"' })).toBe(plain);
    expect(validatorOf({ ...traits, etag: 'W/"56273e80-1234"' })).toBe(plain);
    expect(isCoarse(plain ?? '')).toBe(true);
  });

  it('has an ETag that says more', () => {
    const one = validatorOf({ ...traits, etag: '"3-660c555e3a8f7"' });
    expect(validatorOf({ ...traits, etag: 'W/"3-660c555e3a8f7"' })).toBe(one);
    expect(validatorOf({ ...traits, etag: '"3-660c555e3a8f8"' })).not.toBe(one);
    expect(isCoarse(one ?? '')).toBe(false);
  });

  it('is not there without a time and an ETag', () => {
    expect(validatorOf({ ...traits, modifiedMs: undefined, etag: undefined })).toBeUndefined();
    expect(validatorOf({ ...traits, modifiedMs: undefined, etag: '"x"' })).toBe('-4660-"x"');
  });
});

describe('recent versions', () => {
  it('are remembered for their second only', () => {
    let now = 10_500;
    const recent = new RecentVersions(() => now);
    recent.add('/a', at(10_000));
    recent.add('/old', at(9000));
    expect(recent.has('/a', '10-5')).toBe(true);
    expect(recent.has('/b', '10-5')).toBe(false);
    expect(recent.has('/old', '9-5')).toBe(false);
    expect(recent.nextTime('/a')).toBe(11_000);
    expect(recent.nextTime('/b')).toBe(10_000);
    now = 11_200;
    expect(recent.nextTime('/a')).toBe(11_000);
    expect(recent.has('/a', '10-5')).toBe(false);
  });

  it('give every next one a time of its own, however fast they come', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(1500), { maxLength: 30 }), (pauses) => {
        let now = 1_000_000;
        const recent = new RecentVersions(() => now);
        const seen = new Set<number>();
        for (const pause of pauses) {
          now += pause;
          const time = recent.nextTime('/a');
          expect(time).toBeGreaterThanOrEqual(Math.floor(now / 1000) * 1000);
          expect(seen.has(time)).toBe(false);
          seen.add(time);
          recent.add('/a', at(time));
        }
      }),
    );
  });

  it('come after what is there, but not after another clock that is far ahead', () => {
    const recent = new RecentVersions(() => 10_000);
    expect(recent.nextTime('/a', new Date(12_000))).toBe(13_000);
    expect(recent.nextTime('/a', new Date(9000))).toBe(10_000);
    expect(recent.nextTime('/a', new Date(100_000_000))).toBe(10_000);
  });
});
