import { mkdir, rm, writeFile } from 'node:fs/promises';
import { runProcess } from '@holdfast/test-support/process';
import { makeTempDir } from '@holdfast/test-support/temp-dir';
import { type Bar, barChart } from './chart.ts';
import type { Contender, Outcome } from './ingest/contender.ts';
import { holdfast } from './ingest/holdfast.ts';
import { machine } from './ingest/machine.ts';
import { rclone } from './ingest/rclone.ts';
import { PARALLEL, writeSource } from './ingest/source.ts';
import { tus } from './ingest/tus.ts';
import { interleaved, median, table, takeMemoryOnce } from './measure.ts';

const MIB = 1024 ** 2;
const contenders: readonly Contender[] = [holdfast, tus, rclone, machine];

/**
 * A large file in chunks and many small files, onto one disk: beside @tus/server and rclone to nginx, and beside what the
 * machine does at most. What is sent lies in memory already; every run begins on an empty server, with nothing left to write back.
 */
export async function ingest({ quick, chart }: { quick: boolean; chart: string | null }): Promise<void> {
  const [largeMiB, smallFiles] = quick ? [512, 2000] : [4096, 20_000];
  const rounds = quick ? 3 : 5;
  await using work = await makeTempDir('bench-ingest');
  await mkdir(work.join('source'));
  const source = await writeSource(work.join('source'), largeMiB * MIB, smallFiles);
  let runs = 0;
  const measure = (kind: 'large' | 'small'): Promise<Outcome[][]> =>
    interleaved(
      rounds,
      contenders.map((contender) => async () => {
        runs += 1;
        const folder = work.join(`target-${runs}`);
        await mkdir(folder);
        await runProcess('sync', ['--file-system', folder], { timeoutMs: 300_000 });
        // More than there is to be written.
        if (kind === 'large') await takeMemoryOnce(1.5 * largeMiB);
        const outcome = await contender[kind](source, folder);
        // Small files stay until the end: ext4 searches long for inodes where many were deleted within the last half minute.
        if (kind === 'large') await rm(folder, { recursive: true });
        return outcome;
      }),
    );
  const bars: Bar[] = [];
  for (const [kind, title, unit, units] of [
    ['large', `${largeMiB} MiB in chunks of 8 MiB, ${PARALLEL} at a time`, 'MiB/s', largeMiB],
    ['small', `${smallFiles} files of 8 KiB, ${PARALLEL} requests at a time`, 'files/s', smallFiles],
  ] as const) {
    const outcomes = await measure(kind);
    process.stdout.write(`\n${title} (medians of ${rounds} interleaved rounds)\n`);
    process.stdout.write(`${report(outcomes, unit, units)}\n`);
    for (const [index, { name }] of contenders.entries()) {
      const label = name === 'holdfast' ? 'Holdfast' : name;
      const value = median((outcomes[index] ?? []).map(({ seconds }) => units / seconds));
      bars.push({ group: `${title}, ${unit}`, label, value });
    }
  }
  if (chart !== null) await writeFile(chart, barChart('Files taken in and made durable', '', bars));
}

function report(outcomes: readonly Outcome[][], unit: string, units: number): string {
  const [own = []] = outcomes;
  const rows = contenders.map(({ name }, index) => {
    const rounds = outcomes[index] ?? [];
    const ratio = median(rounds.map(({ seconds }, round) => seconds / (own[round]?.seconds ?? Number.NaN)));
    const servers = rounds.flatMap(({ server }) => server ?? []);
    const clients = rounds.flatMap(({ clientCpuSeconds }) => clientCpuSeconds ?? []);
    return [
      name,
      median(rounds.map(({ seconds }) => units / seconds)).toFixed(0),
      ratio.toFixed(2),
      shown(
        servers.map(({ cpuSeconds }) => cpuSeconds),
        2,
      ),
      shown(
        servers.map(({ peakMiB }) => peakMiB),
        0,
      ),
      shown(clients, 2),
    ];
  });
  const header = ['', unit, 'Holdfast to it', 'server CPU s', 'server peak MiB', 'client CPU s'];
  return table(header, rows);
}

function shown(values: readonly number[], digits: number): string {
  return values.length === 0 ? '' : median(values).toFixed(digits);
}
