import { readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { runProcess } from '@holdfast/test-support/process';

/** Linux reports processor time in these; USER_HZ is 100 on every architecture that Node runs on. */
const TICKS_A_SECOND = 100;

/** User and system processor seconds that a process (all its threads) has used so far; proc(5), fields 14 and 15. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_A_SECOND;
}

/** Resident memory of a process in MiB. */
export function residentMiB(pid: number): number {
  const line = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(line?.[1] ?? 0) / 1024;
}

/**
 * Takes memory and gives it back. Where a virtual machine gets its memory from its host only when it is used, the first to use it
 * is five times slower at writing files; so that nobody is the first.
 */
export async function takeMemoryOnce(mebibytes: number): Promise<void> {
  const file = '/dev/shm/holdfast-bench';
  const count = `count=${String(mebibytes)}`;
  await runProcess('dd', ['if=/dev/zero', `of=${file}`, 'bs=1M', count, 'status=none'], {
    timeoutMs: 120_000,
  });
  await rm(file);
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** The value below which the given part of the values lies. */
export function percentile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(part * sorted.length) - 1)] ?? Number.NaN;
}

/**
 * Runs each contender once a round, in turn, and in the opposite turn every other round: a machine that slows
 * down slows all of them.
 * @returns the results of each contender, by round
 */
export async function interleaved<T>(
  rounds: number,
  contenders: readonly (() => Promise<T>)[],
): Promise<T[][]> {
  const results: T[][] = contenders.map(() => []);
  for (let round = 0; round < rounds; round++) {
    const order = [...contenders.keys()];
    if (round % 2 === 1) order.reverse();
    for (const index of order) {
      const contender = contenders[index];
      if (contender !== undefined) results[index]?.push(await contender());
    }
  }
  return results;
}

/** A plain text table, numbers to the right. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  ');
  return [line(header), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n');
}
