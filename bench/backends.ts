import { createReadStream, createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { parseBackendPath } from '@holdfast/bytes/backend-path';
import type { StorageBackend } from '@holdfast/storage/backend';
import { createHttpBackend, prepareHttp } from '@holdfast/storage/http';
import { createNfsBackend, prepareNfs } from '@holdfast/storage/nfs';
import { createS3Backend, prepareS3 } from '@holdfast/storage/s3';
import { startCeph } from '@holdfast/test-support/ceph';
import { startGanesha } from '@holdfast/test-support/ganesha';
import { runProcess } from '@holdfast/test-support/process';
import { RandomContent } from '@holdfast/test-support/random-file';
import { createBucket } from '@holdfast/test-support/s3-bucket';
import { makeTempDir } from '@holdfast/test-support/temp-dir';
import { startWebdavNginx } from '@holdfast/test-support/webdav-nginx';
import { interleaved, median, residentMiB, table, takeMemoryOnce } from './measure.ts';

const MIB = 1024 ** 2;
const path = parseBackendPath('/bench.bin');

/** A backend and the program that people would use in its place, on one server. */
interface Pair {
  name: string;
  peer: string;
  backend: StorageBackend;
  /** Stores and fetches the file by the peer. */
  peerWrite(): Promise<void>;
  peerRead(): Promise<void>;
}

/** Each network backend against a plain client of the same server; writes include our verification. */
export async function backends({ quick }: { quick: boolean }): Promise<void> {
  const size = (quick ? 128 : 1024) * MIB;
  const rounds = quick ? 3 : 5;
  const content = new RandomContent('backends', size);
  await using work = await makeTempDir('bench-backends');
  const file = work.join('file.bin');
  await pipeline(content.stream(), createWriteStream(file));
  for (const make of [nfs, http, s3]) {
    await using resources = new AsyncDisposableStack();
    const pair = await make(resources, file);
    const write = async (): Promise<void> => {
      await pair.backend.write(path, createReadStream(file, { highWaterMark: MIB }), { expectedSize: size });
    };
    const read = async (): Promise<void> => {
      await using open = await pair.backend.open(path);
      await pipeline(open.stream(), createWriteStream(fetched(file), { highWaterMark: 4 * MIB }));
    };
    const rows: string[][] = [];
    for (const [what, own, peer] of [
      ['write', write, (): Promise<void> => pair.peerWrite()],
      ['read', read, (): Promise<void> => pair.peerRead()],
    ] as const) {
      const measured = async (run: () => Promise<void>): Promise<number> => {
        await rm(fetched(file), { force: true });
        await takeMemoryOnce((3 * size) / MIB);
        return await rate(size, run);
      };
      const results = await interleaved(rounds, [() => measured(peer), () => measured(own)]);
      const [theirs = [], ours = []] = results;
      const ratio = median(ours.map((value, round) => value / (theirs[round] ?? Number.NaN)));
      rows.push([what, median(theirs).toFixed(0), median(ours).toFixed(0), ratio.toFixed(2)]);
    }
    process.stdout.write(`\n${pair.name}, ${size / MIB} MiB (medians of ${rounds} interleaved rounds)\n`);
    process.stdout.write(`${table(['', `${pair.peer} MiB/s`, 'holdfast MiB/s', 'ratio'], rows)}\n`);
  }
  process.stdout.write(`\nresident memory at the end: ${residentMiB(process.pid).toFixed(0)} MiB\n`);
}

/** Where what is read goes to, for everybody. */
const fetched = (file: string): string => `${file}.fetched`;

async function rate(size: number, run: () => Promise<void>): Promise<number> {
  const startedAt = performance.now();
  await run();
  return size / MIB / ((performance.now() - startedAt) / 1000);
}

async function nfs(resources: AsyncDisposableStack, file: string): Promise<Pair> {
  const server = resources.use(await startGanesha({ protocols: '3,4' }));
  const config = {
    server: server.host,
    export_path: server.exportPath,
    port: server.port,
    mode: 'direct' as const,
  };
  const { volumeId } = await prepareNfs(config);
  const backend = resources.use(createNfsBackend({ ...config, volumeId, ownerId: 'bench' }));
  const url = `nfs://${server.host}${server.exportPath}/peer.bin?version=3&nfsport=${server.port}&mountport=${server.mountPort}`;
  return {
    name: 'nfs direct 4.1',
    peer: 'nfs-cp v3',
    backend,
    async peerWrite() {
      // It only creates files. Behind the server's back the removal costs it nothing.
      await rm(join(server.root, 'peer.bin'), { force: true });
      await runProcess('nfs-cp', [file, url], { timeoutMs: 300_000 });
    },
    peerRead: async () => void (await runProcess('nfs-cp', [url, fetched(file)], { timeoutMs: 300_000 })),
  };
}

async function http(resources: AsyncDisposableStack, file: string): Promise<Pair> {
  const server = resources.use(await startWebdavNginx());
  const base = `http://127.0.0.1:${server.ports.dav}/`;
  const config = { base_url: base, writable: true };
  const { volumeId } = await prepareHttp(config);
  const backend = resources.use(createHttpBackend({ ...config, volumeId, ownerId: 'bench' }));
  return {
    name: 'http (nginx WebDAV)',
    peer: 'curl',
    backend,
    peerWrite: async () =>
      void (await runProcess('curl', ['-sf', '-T', file, `${base}peer.bin`], { timeoutMs: 300_000 })),
    peerRead: async () =>
      void (await runProcess('curl', ['-sf', '-o', fetched(file), `${base}peer.bin`], {
        timeoutMs: 300_000,
      })),
  };
}

async function s3(resources: AsyncDisposableStack, file: string): Promise<Pair> {
  const server = resources.use(await startCeph());
  await createBucket(server, 'bench');
  const config = {
    endpoint: server.url,
    bucket: 'bench',
    access_key_id: server.accessKeyId,
    secret_access_key: server.secretAccessKey,
    path_style: true,
  };
  const { volumeId } = await prepareS3(config);
  const backend = resources.use(createS3Backend({ ...config, volumeId, ownerId: 'bench' }));
  const remote = ':s3:bench/peer.bin';
  const options = [
    '--s3-provider=Ceph',
    `--s3-endpoint=${server.url}`,
    '--s3-chunk-size=8Mi',
    '--s3-upload-concurrency=4',
    '--s3-upload-cutoff=8Mi',
    '--ignore-times',
    '--config=/dev/null',
  ];
  const env = {
    RCLONE_S3_ACCESS_KEY_ID: server.accessKeyId,
    RCLONE_S3_SECRET_ACCESS_KEY: server.secretAccessKey,
    AWS_CA_BUNDLE: undefined,
  };
  return {
    name: 's3 (Ceph RGW)',
    peer: 'rclone copyto',
    backend,
    peerWrite: async () =>
      void (await runProcess('rclone', ['copyto', ...options, file, remote], { env, timeoutMs: 600_000 })),
    peerRead: async () =>
      void (await runProcess('rclone', ['copyto', ...options, remote, fetched(file)], {
        env,
        timeoutMs: 600_000,
      })),
  };
}
