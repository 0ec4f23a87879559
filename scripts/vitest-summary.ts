import type { Reporter, SerializedError, TestCase, TestModule, TestSuite, Vitest } from 'vitest/node';

/** What a run came to. `failed` also counts files and suites that broke outside any test. */
export interface RunSummary {
  passed: number;
  failed: number;
  /** Full names of tests that did not run. */
  skipped: string[];
  /** The slowest tests, slowest first. */
  slowest: { name: string; durationMs: number }[];
}

function titleOf(test: TestCase): string {
  return `${test.module.relativeModuleId} > ${test.fullName}`;
}

function brokenSuites(parent: TestModule | TestSuite): number {
  let broken = parent.errors().length > 0 ? 1 : 0;
  for (const suite of parent.children.suites()) broken += brokenSuites(suite);
  return broken;
}

/** Counts the results of a finished run. */
export function summarise(
  modules: readonly TestModule[],
  unhandledErrors: number,
  slowCount = 10,
): RunSummary {
  const summary: RunSummary = { passed: 0, failed: unhandledErrors, skipped: [], slowest: [] };
  for (const module of modules) {
    summary.failed += brokenSuites(module);
    for (const test of module.children.allTests()) {
      const { state } = test.result();
      if (state === 'passed') summary.passed += 1;
      else if (state === 'failed') summary.failed += 1;
      else summary.skipped.push(titleOf(test));
      const durationMs = test.diagnostic()?.duration;
      if (durationMs !== undefined) summary.slowest.push({ name: titleOf(test), durationMs });
    }
  }
  summary.slowest.sort((a, b) => b.durationMs - a.durationMs);
  summary.slowest.length = Math.min(summary.slowest.length, slowCount);
  return summary;
}

/** The lines to print after a run; the last one, `N passed, N failed`, is what a CI reads. */
export function renderSummary(summary: RunSummary, options: { slow: boolean; strict: boolean }): string[] {
  const lines: string[] = [];
  if (options.slow && summary.slowest.length > 0) {
    lines.push('Slowest tests:');
    for (const { name, durationMs } of summary.slowest) {
      lines.push(`${(durationMs / 1000).toFixed(2).padStart(9)} s  ${name}`);
    }
  }
  if (options.strict && summary.skipped.length > 0) {
    lines.push(`${summary.skipped.length} skipped, which is a failure with CI=true:`);
    lines.push(...summary.skipped.map((name) => `  ${name}`));
  }
  lines.push(`${summary.passed} passed, ${summary.failed} failed`);
  return lines;
}

/**
 * Ends a run with the line `N passed, N failed`. With `HOLDFAST_SLOW=1` the ten slowest tests come before it; with
 * `CI=true` a skipped test makes the run fail, unless names were picked by `-t`.
 */
export default class VitestSummary implements Reporter {
  #vitest: Vitest | undefined;

  onInit(vitest: Vitest): void {
    this.#vitest = vitest;
  }

  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly SerializedError[]): void {
    const summary = summarise(modules, unhandledErrors.length);
    const picked = this.#vitest?.config.testNamePattern !== undefined;
    const strict = process.env['CI'] === 'true' && !picked;
    const slow = process.env['HOLDFAST_SLOW'] === '1';
    if (strict && summary.skipped.length > 0) process.exitCode = 1;
    process.stdout.write(`\n${renderSummary(summary, { slow, strict }).join('\n')}\n`);
  }
}
