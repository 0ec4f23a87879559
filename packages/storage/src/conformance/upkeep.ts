import { expect, it } from 'vitest';
import { bytesAt, sampleBytes } from './sample-bytes.ts';
import type { ConformanceBench } from './subject.ts';

/** `probe` and `sweep`. */
export function describeUpkeep(bench: ConformanceBench): void {
  it('passes its own checks, each with a message', async () => {
    const report = await bench.backend.probe();
    expect(report.checks.filter((check) => !check.ok)).toEqual([]);
    expect(report.ok).toBe(true);
    expect(report.latencyMs).toBeGreaterThan(0);
    expect(new Set(report.checks.map((check) => check.name)).size).toBe(report.checks.length);
    for (const check of report.checks) expect(check.message).toMatch(/\.$/);
  });

  it('tells a cancelled check as failed instead of throwing', async () => {
    const report = await bench.backend.probe({ signal: AbortSignal.abort() });
    expect(report.ok).toBe(false);
    expect(report.checks[0]?.message).toContain('cancelled');
  });

  it('sweeps without harm to a write that is under way', async () => {
    const bytes = sampleBytes(200_000);
    async function* source(): AsyncGenerator<Uint8Array> {
      yield bytes.subarray(0, 100_000);
      await bench.backend.sweep();
      yield bytes.subarray(100_000);
    }
    await bench.backend.write(bench.at('file'), source());
    expect((await bytesAt(bench.backend, bench.at('file'))).equals(bytes)).toBe(true);
    expect(await bench.backend.sweep()).toEqual({ removed: 0, bytes: 0 });
  });
}
