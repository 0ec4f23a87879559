import { mkdir, writeFile } from 'node:fs/promises';
import { startHub } from '@holdfast/test-support/hub';
import { changeSettings } from '@holdfast/test-support/hub-storage';
import { startNginx } from '@holdfast/test-support/nginx';
import { runProcess } from '@holdfast/test-support/process';
import { RandomContent } from '@holdfast/test-support/random-file';
import { makeTempDir } from '@holdfast/test-support/temp-dir';
import { pipeline } from 'node:stream/promises';
import { createWriteStream } from 'node:fs';
import { adoptFolder } from './adopt-folder.ts';
import { cpuSeconds, interleaved, median, residentMiB, table } from './measure.ts';

const GIB = 1024 ** 3;
const SMALL_FILES = 64;

interface Contender {
  name: string;
  url: string;
  pid: number;
}
interface Round {
  /** MiB a second, or requests a second. */
  rate: number;
  cpuPerUnit: number;
}

/** Boot files over HTTP against nginx with sendfile: 1 GiB by curl, 4 KiB by wrk with 16 connections. */
export async function serve({ quick }: { quick: boolean }): Promise<void> {
  await using work = await makeTempDir('bench-serve');
  const root = work.join('files');
  await mkdir(root);
  const size = quick ? GIB / 4 : GIB;
  await pipeline(
    new RandomContent('large', size).stream(),
    createWriteStream(work.join('files', 'large.bin')),
  );
  for (let index = 0; index < SMALL_FILES; index++) {
    await writeFile(
      work.join('files', `small-${index}.bin`),
      new RandomContent(`small ${index}`, 4096).bytes(),
    );
  }
  await using nginx = await startNginx(root);
  await using hub = await startHub({ env: { HOLDFAST_LOG_LEVEL: 'warn' } });
  await adoptFolder(hub, root);
  await changeSettings(hub, { file_serving_bandwidth_mbps: 100_000 }); // out of reach: pacing must cost nothing
  const contenders: Contender[] = [
    { name: 'nginx', url: nginx.url, pid: nginx.pid },
    { name: 'holdfast', url: `${hub.url}/api/v1/files`, pid: hub.pid },
  ];
  for (const { url } of contenders) {
    await runProcess('curl', ['-sf', '-o', '/dev/null', `${url}/large.bin`]);
    for (let index = 0; index < SMALL_FILES; index++)
      await runProcess('curl', ['-sf', '-o', '/dev/null', `${url}/small-${index}.bin`]);
  }
  const large = await interleaved(
    quick ? 3 : 9,
    contenders.map((contender) => () => fetchLarge(contender, size)),
  );
  report(`${size / GIB} GiB, one curl`, 'MiB/s', 'CPU s/GiB', contenders, large);
  const script = work.join('paths.lua');
  const connections = ['-t1', '-c16', quick ? '-d2s' : '-d5s', '-s', script];
  await writeFile(
    script,
    `local i = 0\nrequest = function()\n  i = (i + 1) % ${SMALL_FILES}\n  return wrk.format(nil, wrk.path .. "/small-" .. i .. ".bin")\nend\n`,
  );
  const small = await interleaved(
    quick ? 3 : 7,
    contenders.map((contender) => () => fetchSmall(contender, connections)),
  );
  report('4 KiB, wrk with 16 connections', 'requests/s', 'CPU µs/request', contenders, small);
  process.stdout.write(`\nhub resident memory at the end: ${residentMiB(hub.pid).toFixed(0)} MiB\n`);
}

async function fetchLarge({ url, pid }: Contender, size: number): Promise<Round> {
  const before = cpuSeconds(pid);
  const { stdout } = await runProcess('curl', [
    '-sf',
    '-o',
    '/dev/null',
    '-w',
    '%{time_total}',
    `${url}/large.bin`,
  ]);
  return { rate: size / 1024 ** 2 / Number(stdout), cpuPerUnit: ((cpuSeconds(pid) - before) * GIB) / size };
}

async function fetchSmall({ url, pid }: Contender, options: readonly string[]): Promise<Round> {
  const before = cpuSeconds(pid);
  const { stdout } = await runProcess('wrk', [...options, url]);
  const requests = Number(/(\d+) requests in/.exec(stdout)?.[1]);
  if (/Non-2xx|Socket errors/.test(stdout)) throw new Error(`wrk met errors at ${url}:\n${stdout}`);
  const rate = Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1]);
  return { rate, cpuPerUnit: ((cpuSeconds(pid) - before) * 1e6) / requests };
}

function report(
  title: string,
  rate: string,
  cpu: string,
  contenders: readonly Contender[],
  results: Round[][],
): void {
  const [peer = []] = results;
  const rows = contenders.map(({ name }, index) => {
    const rounds = results[index] ?? [];
    const ratio = median(rounds.map((round, i) => round.rate / (peer[i]?.rate ?? Number.NaN)));
    const cpuRatio =
      median(rounds.map((round) => round.cpuPerUnit)) / median(peer.map((round) => round.cpuPerUnit));
    return [
      name,
      median(rounds.map((round) => round.rate)).toFixed(0),
      ratio.toFixed(2),
      median(rounds.map((round) => round.cpuPerUnit)).toFixed(2),
      cpuRatio.toFixed(2),
    ];
  });
  process.stdout.write(
    `\n${title} (medians of ${peer.length} interleaved rounds; ratios to ${contenders[0]?.name})\n`,
  );
  process.stdout.write(`${table(['', rate, 'ratio', cpu, 'ratio'], rows)}\n`);
}
