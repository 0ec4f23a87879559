import { createWriteStream } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { Agent, get } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { changeSettings } from '@holdfast/test-support/hub-storage';
import { startHub } from '@holdfast/test-support/hub';
import { startNginx } from '@holdfast/test-support/nginx';
import { RandomContent } from '@holdfast/test-support/random-file';
import { makeTempDir } from '@holdfast/test-support/temp-dir';
import { barChart, type Bar } from './chart.ts';
import { adoptFolder } from './adopt-folder.ts';
import { median, percentile, table } from './measure.ts';

const MIB = 1024 ** 2;
const BUDGET_MBPS = 200;
const LONG = 20;
/** MiB of the files that come each second. nginx lets a second's allowance through at once, which 1 MiB fits into. */
const SIZES = [1, 8];
/** Bytes a second. */
const BUDGET = (BUDGET_MBPS * 1_000_000) / 8;

interface Outcome {
  smallMs: number[];
  /** Bytes of each long download within the measured time. */
  long: number[];
  /** Bytes of everything a second within the measured time. */
  total: number;
}

/**
 * 200 Mbit/s shared by 20 long downloads and a 1 MiB file each second: Holdfast's throttle beside nginx with
 * `limit_rate` set to the equal share of 21. Every client has an address of its own.
 */
export async function fairness({ quick, chart }: { quick: boolean; chart: string | null }): Promise<void> {
  const bars: Bar[] = [];
  await using work = await makeTempDir('bench-fairness');
  const root = work.join('files');
  await mkdir(root);
  await pipeline(
    new RandomContent('long', 2048 * MIB).stream(),
    createWriteStream(work.join('files', 'long.bin')),
  );
  for (const size of SIZES)
    await writeFile(work.join('files', `${size}.bin`), new RandomContent('small', size * MIB).bytes());
  await using nginx = await startNginx(root, { limitRate: Math.floor(BUDGET / (LONG + 1)) });
  await using hub = await startHub({ env: { HOLDFAST_LOG_LEVEL: 'warn' } });
  await adoptFolder(hub, root);
  await changeSettings(hub, { file_serving_bandwidth_mbps: BUDGET_MBPS });
  const seconds = quick ? 10 : 30;
  for (const size of SIZES) {
    const equalMs = ((size * MIB) / (BUDGET / (LONG + 1))) * 1000;
    const rows = [['an equal share, by arithmetic', equalMs.toFixed(0), equalMs.toFixed(0), '', '']];
    const p95: number[] = [];
    const group = `A file of ${size} MiB`;
    bars.push({ group, label: 'an equal share', value: equalMs });
    for (const [name, url] of [
      ['nginx limit_rate', nginx.url],
      ['holdfast', `${hub.url}/api/v1/files`],
    ] as const) {
      const { smallMs, total, long } = await measure(url, size, seconds);
      p95.push(percentile(smallMs, 0.95));
      bars.push({
        group,
        label: name === 'holdfast' ? 'Holdfast' : 'nginx, limit_rate',
        value: percentile(smallMs, 0.95),
      });
      rows.push([
        name,
        median(smallMs).toFixed(0),
        percentile(smallMs, 0.95).toFixed(0),
        ((total * 8) / 1e6).toFixed(1),
        jain(long).toFixed(4),
      ]);
    }
    const [peer = Number.NaN, own = Number.NaN] = p95;
    process.stdout.write(
      `\n${LONG} long downloads and a file of ${size} MiB each second at ${BUDGET_MBPS} Mbit/s, ${seconds} s\n`,
    );
    process.stdout.write(`${table(['', 'p50 ms', 'p95 ms', 'total Mbit/s', "Jain's index"], rows)}\n`);
    process.stdout.write(
      `p95 to Holdfast's: nginx ${(peer / own).toFixed(1)}, equal share ${(equalMs / own).toFixed(1)}\n`,
    );
  }
  if (chart === null) return;
  const title = `95 % are done within, beside ${LONG} long downloads at ${BUDGET_MBPS} Mbit/s`;
  await writeFile(chart, barChart(title, 'ms', bars));
}

async function measure(url: string, size: number, seconds: number): Promise<Outcome> {
  const stop = new AbortController();
  const long = Array.from({ length: LONG }, () => 0);
  let counting = false;
  let smallBytes = 0;
  const downloads = long.map((_, index) =>
    download(`${url}/long.bin`, `127.0.1.${index + 1}`, stop.signal, (bytes) => {
      if (counting) long[index] = (long[index] ?? 0) + bytes;
    }),
  );
  await delay(3000);
  counting = true;
  const startedAt = performance.now();
  const small: Promise<number>[] = [];
  for (let second = 0; second < seconds; second++) {
    const began = performance.now();
    const fetched = download(`${url}/${size}.bin`, `127.0.2.${(second % 250) + 1}`, undefined, (bytes) => {
      if (counting) smallBytes += bytes;
    });
    small.push(fetched.then(() => performance.now() - began));
    await delay(startedAt + (second + 1) * 1000 - performance.now());
  }
  counting = false;
  const elapsed = (performance.now() - startedAt) / 1000;
  const smallMs = await Promise.all(small);
  stop.abort();
  await Promise.all(downloads);
  return { smallMs, long, total: (long.reduce((sum, bytes) => sum + bytes, 0) + smallBytes) / elapsed };
}

/** Fetches a file from an address of this machine and counts; an abort is no failure. */
function download(
  url: string,
  localAddress: string,
  signal: AbortSignal | undefined,
  onBytes: (bytes: number) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const agent = new Agent({ keepAlive: false });
    const request = get(
      url,
      { localAddress, agent, ...(signal === undefined ? {} : { signal }) },
      (response) => {
        if (response.statusCode !== 200) reject(new Error(`${url} answered ${response.statusCode}`));
        response.on('data', (chunk: Buffer) => onBytes(chunk.byteLength));
        response.on('end', resolve);
        response.on('error', () =>
          signal?.aborted === true ? resolve() : reject(new Error(`${url} was cut`)),
        );
      },
    );
    request.on('error', (error) => (signal?.aborted === true ? resolve() : reject(error)));
  });
}

/** Jain's fairness index: (Σx)² ÷ (n·Σx²), 1 when all are equal (Jain, Chiu, Hawe 1984). */
function jain(values: readonly number[]): number {
  const sum = values.reduce((total, value) => total + value, 0);
  const squares = values.reduce((total, value) => total + value * value, 0);
  return (sum * sum) / (values.length * squares);
}
