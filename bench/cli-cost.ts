import { readFile } from 'node:fs/promises';
import { peakMemory } from '@holdfast/test-support/rss';
import { startProcess } from '@holdfast/test-support/process';

/** Between two looks at the memory of a program, whose peak the kernel keeps. */
const lookMs = 50;

/** What a program took from its start to its end. */
export interface Cost {
  seconds: number;
  /** User and system processor seconds, those of its children included. */
  cpuSeconds: number;
  /** Most resident memory, as seen within the last 50 ms of its life. */
  peakMiB: number;
}

/**
 * Runs a program to its end.
 * @throws Error with its output when it fails
 */
export async function costOf(
  command: readonly string[],
  env: Record<string, string | undefined> = {},
): Promise<Cost> {
  // POSIX `times`: the second line is what the children of the shell that were waited for have used.
  const script = '"$@"; code=$?; echo; times; exit $code';
  const startedAt = performance.now();
  await using shell = await startProcess('sh', ['-c', script, 'sh', ...command], { env });
  let peakMiB = 0;
  const look = async (): Promise<void> => {
    const children = await readFile(`/proc/${shell.pid}/task/${shell.pid}/children`, 'utf8');
    const pid = Number(children.trim().split(' ')[0]);
    if (pid > 0) peakMiB = Math.max(peakMiB, (await peakMemory(pid)) / 1024 ** 2);
  };
  // A program that ends while it is looked at has been seen before.
  const timer = setInterval(() => void look().catch(() => undefined), lookMs);
  const { code } = await shell.exited;
  clearInterval(timer);
  const seconds = (performance.now() - startedAt) / 1000;
  if (code !== 0) {
    throw new Error(`${command.join(' ')} ended with ${code}: ${shell.stdout()}${shell.stderr()}`);
  }
  const used = shell.stdout().trimEnd().split('\n').at(-1) ?? '';
  const times = [...used.matchAll(/(\d+)m([\d.]+)s/g)].map(
    ([, minutes, rest]) => Number(minutes) * 60 + Number(rest),
  );
  return { seconds, cpuSeconds: times.reduce((sum, part) => sum + part, 0), peakMiB };
}
