import { describe, expect, it } from 'vitest';
import { ProgressMeter } from './download-progress.ts';
import type { DownloadProgress } from './download-progress.ts';

describe('ProgressMeter', () => {
  it('tells the speed since it began, not that of bytes of an earlier attempt, and what is left', () => {
    let now = 0;
    const seen: DownloadProgress[] = [];
    const meter = new ProgressMeter(
      1000,
      400,
      (progress) => seen.push(progress),
      () => now,
    );
    meter.tell('receiving');
    now = 1000;
    meter.add(100);
    now = 2000;
    meter.add(100);
    const speed = { bytesPerSecond: 100 };
    expect(seen).toEqual([
      { phase: 'receiving', bytes: 400, totalBytes: 1000, bytesPerSecond: 0, etaSeconds: null },
      { phase: 'receiving', bytes: 500, totalBytes: 1000, ...speed, etaSeconds: 5 },
      { phase: 'receiving', bytes: 600, totalBytes: 1000, ...speed, etaSeconds: 4 },
    ]);
  });

  it('does not report each of many small additions, but counts them', () => {
    let now = 0;
    const seen: DownloadProgress[] = [];
    const meter = new ProgressMeter(
      1000,
      0,
      (progress) => seen.push(progress),
      () => now,
    );
    for (; now < 100; now += 1) meter.add(10);
    expect(seen).toEqual([]);
    meter.tell('finishing');
    expect(seen).toMatchObject([{ phase: 'finishing', bytes: 1000, etaSeconds: 0 }]);
  });

  it('comes near a new speed within seconds', () => {
    let now = 0;
    let last: DownloadProgress | undefined;
    const meter = new ProgressMeter(
      1_000_000,
      0,
      (progress) => (last = progress),
      () => now,
    );
    for (const speed of [1000, 100]) {
      for (let step = 0; step < 15; step += 1) {
        now += 1000;
        meter.add(speed);
      }
    }
    expect(last?.bytesPerSecond).toBeGreaterThanOrEqual(100);
    expect(last?.bytesPerSecond).toBeLessThan(110);
  });
});
