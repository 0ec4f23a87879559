import { createWriteStream } from 'node:fs';
import { access, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { freePort } from '@holdfast/test-support/free-port';
import { startHub } from '@holdfast/test-support/hub';
import { changeSettings } from '@holdfast/test-support/hub-storage';
import { runProcess, startProcess } from '@holdfast/test-support/process';
import { RandomContent } from '@holdfast/test-support/random-file';
import { makeTempDir } from '@holdfast/test-support/temp-dir';
import { adoptFolder } from './adopt-folder.ts';
import { interleaved, median, residentMiB, table } from './measure.ts';

const MIB = 1024 ** 2;
const CLIENTS = 200;
const CASES = [
  { blksize: 1428, windowsize: 1 },
  { blksize: 1428, windowsize: 16 },
  { blksize: 1428, windowsize: 32 },
  { blksize: 512, windowsize: 1 },
];

interface Contender {
  name: string;
  host: string;
  port: number;
  windows: boolean;
}

/** TFTP against dnsmasq, tftpd-hpa and atftpd, with Debian's atftp as client; then many clients at once. */
export async function tftp({ quick }: { quick: boolean }): Promise<void> {
  await using work = await makeTempDir('bench-tftp');
  await using servers = new AsyncDisposableStack();
  const root = work.join('files');
  await mkdir(root);
  const size = (quick ? 16 : 64) * MIB;
  await pipeline(
    new RandomContent('tftp', size).stream(),
    createWriteStream(work.join('files', 'large.bin')),
  );
  await writeFile(work.join('files', 'small.bin'), new RandomContent('small', MIB).bytes());
  const hub = servers.use(await startHub({ env: { HOLDFAST_LOG_LEVEL: 'warn', HOLDFAST_TFTP_PORT: '0' } }));
  await adoptFolder(hub, root);
  await changeSettings(hub, { file_serving_bandwidth_mbps: 100_000 });
  const own = { name: 'holdfast', host: '127.0.0.1', port: Number(hub.tftp?.split(':')[1]), windows: true };
  const dnsmasq = { name: 'dnsmasq', host: '127.0.0.91', port: 69, windows: false };
  servers.use(
    await startProcess('dnsmasq', [
      '--port=0',
      '--enable-tftp',
      `--tftp-root=${root}`,
      '--tftp-no-fail',
      '--listen-address=127.0.0.91',
      '--bind-interfaces',
      '--keep-in-foreground',
      '--user=root',
      '--conf-file=/dev/null',
      '--pid-file=',
    ]),
  );
  const hpa = { name: 'tftpd-hpa', host: '127.0.0.92', port: await freePort(), windows: false };
  servers.use(
    await startProcess(await unpacked('tftpd-hpa', 'usr/sbin/in.tftpd'), [
      '--foreground',
      '--address',
      `127.0.0.92:${hpa.port}`,
      '--user',
      'root',
      '--secure',
      root,
    ]),
  );
  const atftpd = { name: 'atftpd', host: '127.0.0.93', port: await freePort(), windows: true };
  servers.use(
    await startProcess(await unpacked('atftpd', 'usr/sbin/atftpd'), [
      '--daemon',
      '--no-fork',
      '--bind-address',
      '127.0.0.93',
      '--port',
      String(atftpd.port),
      '--user',
      'root.root',
      '--logfile',
      '-',
      root,
    ]),
  );
  const contenders: Contender[] = [own, dnsmasq, hpa, atftpd];
  for (const contender of contenders) await ready(contender);
  for (const { blksize, windowsize } of CASES) {
    const taking = contenders.filter(({ windows }) => windows || windowsize === 1);
    const options = [
      '--option',
      `blksize ${blksize}`,
      ...(windowsize === 1 ? [] : ['--option', `windowsize ${windowsize}`]),
    ];
    const results = await interleaved(
      quick ? 3 : 5,
      taking.map((contender) => () => fetch(contender, 'large.bin', options, size)),
    );
    const medians = results.map(median);
    const rows = taking.map(({ name }, index) => [
      name,
      (medians[index] ?? 0).toFixed(0),
      ((medians[0] ?? 0) / (medians[index] ?? 1)).toFixed(2),
    ]);
    process.stdout.write(
      `\n${size / MIB} MiB, blksize ${blksize}, windowsize ${windowsize} (medians of ${quick ? 3 : 5} interleaved rounds)\n`,
    );
    process.stdout.write(`${table(['', 'MiB/s', 'Holdfast to it'], rows)}\n`);
  }
  const startedAt = performance.now();
  const many = Array.from({ length: CLIENTS }, () =>
    fetch(own, 'small.bin', ['--option', 'blksize 1428'], MIB).then(
      () => true,
      () => false,
    ),
  );
  const failed = (await Promise.all(many)).filter((ok) => !ok).length;
  const seconds = (performance.now() - startedAt) / 1000;
  process.stdout.write(
    `\n${CLIENTS} clients of 1 MiB at once: ${failed} failed, ${seconds.toFixed(1)} s, hub ${residentMiB(hub.pid).toFixed(0)} MiB resident\n`,
  );
}

/** MiB a second of one download. */
async function fetch(
  { host, port }: Contender,
  file: string,
  options: readonly string[],
  size: number,
): Promise<number> {
  const startedAt = performance.now();
  await runProcess('atftp', [...options, '--get', '-r', file, '-l', '/dev/null', host, String(port)], {
    timeoutMs: 300_000,
  });
  return size / MIB / ((performance.now() - startedAt) / 1000);
}

/** The daemons say nothing when they listen: ask until they answer. */
async function ready(contender: Contender): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      await fetch(contender, 'small.bin', [], MIB);
      return;
    } catch (error) {
      if (attempt >= 5) throw error;
    }
  }
}

/** A program of a Debian package that is not installed, because it conflicts with its rivals. */
async function unpacked(name: string, program: string): Promise<string> {
  const folder = path.join(import.meta.dirname, '../.cache/bench', name);
  const file = path.join(folder, program);
  try {
    await access(file);
  } catch {
    await mkdir(folder, { recursive: true });
    await runProcess('apt-get', ['download', name], { cwd: folder });
    await runProcess('sh', ['-c', `dpkg -x ${name}_*.deb .`], { cwd: folder });
  }
  return file;
}
