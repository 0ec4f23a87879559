import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { startHub } from '@holdfast/test-support/hub';
import { changeSettings } from '@holdfast/test-support/hub-storage';
import { runProcess } from '@holdfast/test-support/process';
import { RandomContent } from '@holdfast/test-support/random-file';
import { makeTempDir } from '@holdfast/test-support/temp-dir';
import { startWebdavNginx } from '@holdfast/test-support/webdav-nginx';
import { type Bar, barChart } from './chart.ts';
import { type Cost, costOf } from './cli-cost.ts';
import { cpuSeconds, interleaved, median, table, takeMemoryOnce } from './measure.ts';

const repository = path.resolve(import.meta.dirname, '..');
const holdfastCommand = [
  path.join(repository, 'node_modules/node/bin/node'),
  path.join(repository, 'apps/cli/src/main.ts'),
];
const MIB = 1024 ** 2;
const helpRuns = 9;
/** More than two copies of the file. */
const takenMiB = 5120;

type Verb = 'put' | 'get';
type Outcome = Record<Verb, Cost & { serverCpuSeconds: number }>;

/** Two files and the folder of the server, on one disk. */
interface Place {
  source: string;
  fetched: string;
  server: string;
}

/** A client with its server. */
interface Contender {
  name: string;
  run(place: Place): Promise<Outcome>;
}

/** The command with a hub: what it sends is verified and on the disk, what it fetches is verified and on the disk. */
const holdfast: Contender = {
  name: 'Holdfast',
  async run({ source, fetched, server }) {
    await using hub = await startHub({ dataDir: server, env: { HOLDFAST_LOG_LEVEL: 'warn' } });
    await changeSettings(hub, { file_serving_bandwidth_mbps: 100_000 }); // out of reach
    const env = {
      HOLDFAST_URL: hub.url,
      HOLDFAST_API_KEY: hub.adminKey,
      HOLDFAST_STATE_DIR: path.join(server, 'state'),
    };
    const outcome = {
      put: await costWith(hub.pid, [...holdfastCommand, 'put', source, 'default:/file.bin'], env),
      get: await costWith(hub.pid, [...holdfastCommand, 'get', 'default:/file.bin', fetched], env),
    };
    await hub.kill('SIGTERM');
    return outcome;
  },
};

/** `rclone copyto` with nginx by WebDAV: neither knows a sum of the file, and nothing waits for the disk. */
const rclone: Contender = {
  name: 'rclone, nginx',
  run: (place) => withRclone(place, (command) => command),
};

/** The same, until the file is on the disk, as Holdfast promises it. */
const durableRclone: Contender = {
  name: 'rclone, nginx, fsync',
  run: (place) =>
    withRclone(place, (command, written) => ['sh', '-c', `"$@" && sync '${written}'`, 'sh', ...command]),
};

async function withRclone(
  { source, fetched, server }: Place,
  until: (command: string[], written: string) => string[],
): Promise<Outcome> {
  const root = path.join(server, 'root');
  await using nginx = await startWebdavNginx({ root });
  const url = `--webdav-url=http://127.0.0.1:${nginx.ports.dav}/`;
  const command = ['rclone', 'copyto', '--config=/dev/null', '--webdav-vendor=other', '--retries=1', url];
  const put = until([...command, source, ':webdav:file.bin'], path.join(root, 'file.bin'));
  const get = until([...command, ':webdav:file.bin', fetched], fetched);
  return { put: await costWith(nginx.pid, put), get: await costWith(nginx.pid, get) };
}

/** One connection, and nothing besides. */
const curl: Contender = {
  name: 'curl, nginx',
  async run({ source, fetched, server }) {
    await using nginx = await startWebdavNginx({ root: path.join(server, 'root') });
    const url = `http://127.0.0.1:${nginx.ports.dav}/file.bin`;
    const command = ['curl', '--silent', '--show-error', '--fail'];
    return {
      put: await costWith(nginx.pid, [...command, '--upload-file', source, url]),
      get: await costWith(nginx.pid, [...command, '--output', fetched, url]),
    };
  },
};

const contenders = [holdfast, rclone, durableRclone, curl];

/**
 * `holdfast put` and `holdfast get` of one large file, verification included, beside rclone and curl with nginx, which do
 * without; and what `holdfast --help` costs. The file lies in memory; every transfer begins with nothing to write back.
 */
export async function cli({ quick, chart }: { quick: boolean; chart: string | null }): Promise<void> {
  const mebibytes = quick ? 256 : 2048;
  const rounds = quick ? 3 : 5;
  await using work = await makeTempDir('bench-cli');
  const source = work.join('source.bin');
  await new RandomContent('cli', mebibytes * MIB).writeTo(source);
  const outcomes = await interleaved(
    rounds,
    contenders.map((contender) => async () => {
      const place = { source, fetched: work.join('fetched.bin'), server: work.join('server') };
      await mkdir(place.server);
      const outcome = await contender.run(place);
      await runProcess('cmp', [source, place.fetched], { timeoutMs: 300_000 });
      await rm(place.fetched);
      await rm(place.server, { recursive: true });
      return outcome;
    }),
  );
  const bars: Bar[] = [];
  for (const verb of ['put', 'get'] as const) {
    process.stdout.write(`\n${verb} of ${mebibytes} MiB (medians of ${rounds} interleaved rounds)\n`);
    process.stdout.write(`${report(outcomes, verb, mebibytes)}\n`);
    for (const [index, { name }] of contenders.entries()) {
      const value = median((outcomes[index] ?? []).map((outcome) => mebibytes / outcome[verb].seconds));
      bars.push({ group: `${verb} of ${mebibytes} MiB, MiB/s`, label: name, value });
    }
  }
  const helps: Cost[] = [];
  for (let run = 0; run < helpRuns; run += 1) helps.push(await costOf([...holdfastCommand, '--help']));
  const help = median(helps.map((cost) => cost.cpuSeconds));
  process.stdout.write(
    `\nholdfast --help: ${help.toFixed(3)} s of CPU (median of ${helpRuns} runs, limit 0.150)\n`,
  );
  if (chart !== null) await writeFile(chart, barChart('One large file by the command', '', bars));
}

async function costWith(
  serverPid: number,
  command: readonly string[],
  env?: Record<string, string>,
): Promise<Cost & { serverCpuSeconds: number }> {
  await runProcess('sync', [], { timeoutMs: 300_000 });
  await takeMemoryOnce(takenMiB);
  const before = cpuSeconds(serverPid);
  const cost = await costOf(command, env);
  return { ...cost, serverCpuSeconds: cpuSeconds(serverPid) - before };
}

function report(outcomes: readonly Outcome[][], verb: Verb, mebibytes: number): string {
  const [own = []] = outcomes;
  const rows = contenders.map(({ name }, index) => {
    const costs = (outcomes[index] ?? []).map((outcome) => outcome[verb]);
    const ratios = costs.map(({ seconds }, round) => seconds / (own[round]?.[verb].seconds ?? Number.NaN));
    return [
      name,
      median(costs.map(({ seconds }) => mebibytes / seconds)).toFixed(0),
      median(ratios).toFixed(2),
      median(costs.map((cost) => cost.cpuSeconds)).toFixed(2),
      median(costs.map((cost) => cost.peakMiB)).toFixed(0),
      median(costs.map((cost) => cost.serverCpuSeconds)).toFixed(2),
    ];
  });
  const header = ['', 'MiB/s', 'Holdfast to it', 'client CPU s', 'client peak MiB', 'server CPU s'];
  return table(header, rows);
}
