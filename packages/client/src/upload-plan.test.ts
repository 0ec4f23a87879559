import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chunkCount } from '@holdfast/bytes/chunk-plan';
import { planChunks } from './upload-plan.ts';
import { ProgressMeter } from './upload-progress.ts';

const MiB = 1024 * 1024;
const usual = {
  preferred_chunk_size: 8 * MiB,
  min_chunk_size: 5 * MiB,
  max_chunk_size: 512 * MiB,
  max_chunks: 10_000,
  max_file_size: 5 * 1024 * 1024 * MiB,
};

describe('chunks of an upload', () => {
  it('are within the limits of the hub whatever the size, and of the preferred size while that is enough', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: usual.max_file_size }),
        fc.integer({ min: 1, max: 100_000 }),
        fc.integer({ min: 1, max: 64 * MiB }),
        fc.integer({ min: 0, max: 2048 * MiB }),
        (size, max_chunks, preferred_chunk_size, room) => {
          const max_chunk_size = preferred_chunk_size + room;
          const limits = { ...usual, min_chunk_size: 1, max_chunks, preferred_chunk_size, max_chunk_size };
          if (size > max_chunks * max_chunk_size) {
            expect(() => planChunks(size, limits)).toThrow(/too large for the hub/);
            return;
          }
          const plan = planChunks(size, limits);
          expect(chunkCount(plan)).toBeLessThanOrEqual(max_chunks);
          expect(plan.chunkSize).toBeGreaterThanOrEqual(preferred_chunk_size);
          expect(plan.chunkSize).toBeLessThanOrEqual(max_chunk_size);
          if (size <= preferred_chunk_size * max_chunks) expect(plan.chunkSize).toBe(preferred_chunk_size);
        },
      ),
    );
  });

  it('are none for a file of no bytes, and refused beyond the largest file', () => {
    expect(chunkCount(planChunks(0, usual))).toBe(0);
    expect(() => planChunks(11, { ...usual, max_file_size: 10 })).toThrow(/at most 10 bytes/);
  });
});

describe('progress of an upload', () => {
  it('tells the rate of late, without what an earlier run had sent', () => {
    let now = 0;
    const meter = new ProgressMeter({ totalBytes: 100_000, totalChunks: 100 }, () => now);
    meter.found(1000);
    expect(meter.read()).toMatchObject({ bytes: 1000, chunks: 1, bytesPerSecond: 0, etaSeconds: null });
    for (let sent = 0; sent < 20; sent += 1) {
      now += 1000;
      meter.moved(1000);
    }
    expect(meter.read().bytesPerSecond).toBeCloseTo(1000, 6);
    expect(meter.read().etaSeconds).toBeCloseTo(79, 6);
    for (let sent = 0; sent < 30; sent += 1) {
      now += 1000;
      meter.moved(2000);
    }
    expect(meter.read().bytesPerSecond).toBeGreaterThan(1990);
  });

  it('takes back what was lost on its way, and never tells more bytes than there are', () => {
    let now = 0;
    const meter = new ProgressMeter({ totalBytes: 1000, totalChunks: 2 }, () => now);
    now += 500;
    meter.moved(400);
    expect(meter.read()).toMatchObject({ bytes: 400, chunks: 0, bytesPerSecond: 800, etaSeconds: null });
    meter.moved(-400);
    expect(meter.read()).toMatchObject({ bytes: 0, chunks: 0, bytesPerSecond: 800 });
    now += 1500;
    meter.moved(500);
    meter.arrived();
    expect(meter.read()).toMatchObject({ bytes: 500, chunks: 1, etaSeconds: expect.any(Number) });
    meter.moved(500);
    meter.found(500);
    expect(meter.read()).toMatchObject({ bytes: 1000, etaSeconds: 0 });
  });

  it('has a rate between the slowest and the fastest chunk', () => {
    const chunk = fc.tuple(fc.integer({ min: 1, max: 1e6 }), fc.integer({ min: 1, max: 10_000 }));
    fc.assert(
      fc.property(fc.array(chunk, { minLength: 1, maxLength: 50 }), (chunks) => {
        let now = 0;
        const meter = new ProgressMeter({ totalBytes: 1e9, totalChunks: 50 }, () => now);
        for (const [bytes, milliseconds] of chunks) {
          now += milliseconds;
          meter.moved(bytes);
        }
        const rates = chunks.map(([bytes, milliseconds]) => (bytes * 1000) / milliseconds);
        expect(meter.read().bytesPerSecond).toBeGreaterThanOrEqual(Math.min(...rates) * 0.999_999);
        expect(meter.read().bytesPerSecond).toBeLessThanOrEqual(Math.max(...rates) * 1.000_001);
      }),
    );
  });
});
