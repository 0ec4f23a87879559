import { startHub } from '@holdfast/test-support/hub';
import { peakMemory, resetPeakMemory } from '@holdfast/test-support/rss';
import { uploadSessions } from '@holdfast/test-support/upload-sessions';
import { cpuSeconds, percentile, table } from './measure.ts';

const MIB = 1024 ** 2;
const CHUNKS = 4;

/** Upload sessions all at once, each with 4 chunks of 2 MiB in flight: memory of the hub, and how long a chunk takes. */
export async function sessions({ quick }: { quick: boolean }): Promise<void> {
  const count = quick ? 200 : 1000;
  await using hub = await startHub({ env: { HOLDFAST_LOG_LEVEL: 'warn' } });
  await resetPeakMemory(hub.pid);
  const cpuBefore = cpuSeconds(hub.pid);
  const clientBefore = process.cpuUsage();
  const startedAt = performance.now();
  const { chunkMs, completed, failures } = await uploadSessions(hub, { sessions: count, chunks: CHUNKS });
  const seconds = (performance.now() - startedAt) / 1000;
  const { user, system } = process.cpuUsage(clientBefore);
  const gib = (count * CHUNKS * 2) / 1024;

  process.stdout.write(`\n${count} sessions at once, ${CHUNKS} chunks of 2 MiB in flight each\n`);
  process.stdout.write(
    `${table(
      [
        '',
        'completed',
        'failed',
        'chunk p50 s',
        'p99 s',
        'MiB/s',
        'hub peak MiB',
        'CPU s/GiB',
        'client CPU s/GiB',
      ],
      [
        [
          'holdfast',
          String(completed.length),
          String(failures.length),
          (percentile(chunkMs, 0.5) / 1000).toFixed(2),
          (percentile(chunkMs, 0.99) / 1000).toFixed(2),
          ((gib * 1024) / seconds).toFixed(0),
          ((await peakMemory(hub.pid)) / MIB).toFixed(0),
          ((cpuSeconds(hub.pid) - cpuBefore) / gib).toFixed(2),
          ((user + system) / 1e6 / gib).toFixed(2),
        ],
      ],
    )}\n`,
  );
  for (const failure of failures.slice(0, 5)) process.stdout.write(`${failure}\n`);
}
