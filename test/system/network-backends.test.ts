import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { backend, backendTest } from '@holdfast/contract/backends';
import { startCeph } from '../support/ceph.ts';
import { createBucket } from '../support/s3-bucket.ts';
import { startGanesha } from '../support/ganesha.ts';
import { type HubUnderTest, startHub } from '../support/hub.ts';
import { changeSettings, filesPath, json, uploadStream } from '../support/hub-storage.ts';
import { bootedMarker, installedMarker } from '../support/initrd.ts';
import { addMachine, nodeState, storeKernel } from '../support/netboot-machine.ts';
import { bootVm } from '../support/qemu.ts';
import { RandomContent } from '../support/random-file.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import { startTgt } from '../support/tgt.ts';
import { startWebdavNginx } from '../support/webdav-nginx.ts';

const mebibyte = 1024 ** 2;
const secret = 'correct-horse-battery';

/** A server, and how a hub is told of it through a port of our own. */
interface Subject {
  port: number;
  /** What else goes into POST /api/v1/storage/backends. */
  body(port: number): { type: string; config: Record<string, unknown>; format?: boolean };
  [Symbol.asyncDispose](): PromiseLike<void>;
}

const subjects: Record<string, () => Promise<Subject>> = {
  async nfs() {
    const server = await startGanesha();
    return {
      port: server.port,
      body: (port) => ({
        type: 'nfs',
        config: { server: '127.0.0.1', export_path: server.exportPath, port, mode: 'direct' },
      }),
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    };
  },
  async http() {
    const server = await startWebdavNginx({ basic: { username: 'hub', password: secret } });
    return {
      port: server.ports.dav,
      body: (port) => ({
        type: 'http',
        config: {
          base_url: `http://127.0.0.1:${port}/`,
          auth_method: 'basic',
          username: 'hub',
          password: secret,
          writable: true,
        },
      }),
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    };
  },
  async s3() {
    const server = await startCeph();
    await createBucket(server, 'system');
    return {
      port: server.port,
      body: (port) => ({
        type: 's3',
        config: {
          endpoint: `http://127.0.0.1:${port}`,
          bucket: 'system',
          access_key_id: server.accessKeyId,
          secret_access_key: server.secretAccessKey,
          path_style: true,
        },
      }),
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    };
  },
  async iscsi() {
    const server = await startTgt({
      sizeBytes: 1024 * mebibyte,
      chap: { username: 'hub', password: secret },
    });
    return {
      port: server.port,
      body: (port) => ({
        type: 'iscsi',
        format: true,
        config: {
          target: server.target,
          portal: '127.0.0.1',
          port,
          lun: server.lun,
          chap_enabled: true,
          chap_username: 'hub',
          chap_password: secret,
          mode: 'direct',
        },
      }),
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    };
  },
};

describe.each(Object.entries(subjects))('a hub with a backend of type %s', (type, start) => {
  const resources = new AsyncDisposableStack();
  let hub: HubUnderTest;
  let id: string;
  let proxy: Awaited<ReturnType<typeof startTcpProxy>>;
  let secrets: string[];

  beforeAll(async () => {
    const server = resources.use(await start());
    proxy = resources.use(await startTcpProxy({ port: server.port }));
    hub = resources.use(await startHub({ env: { HOLDFAST_LOG_LEVEL: 'trace' } }));
    const body = server.body(proxy.listenPort);
    secrets = [
      body.config['password'],
      body.config['secret_access_key'],
      body.config['chap_password'],
    ].filter((value): value is string => typeof value === 'string');
    const created = await hub.data(
      backend,
      '/api/v1/storage/backends',
      json('POST', { name: type, ...body }),
    );
    id = created.id;
    await changeSettings(hub, { default_boot_backend_id: id });
  });

  afterAll(() => resources.disposeAsync());

  it('passes its named checks', async () => {
    const report = await hub.data(backendTest, `/api/v1/storage/backends/${id}/test`, { method: 'POST' });
    expect(report.checks.filter((check) => !check.ok)).toEqual([]);
    expect(report.success).toBe(true);
  });

  it('gives back the bytes that it took, with their checksum and by ranges', async () => {
    const content = new RandomContent(`${type} file`, 24 * mebibyte + 5);
    const stored = await uploadStream(hub, id, '/folder/a file.bin', content.stream(), content.size);
    expect(stored.status).toBe(201);
    expect(stored.body).toContain(content.sha256());
    const whole = await fetch(`${hub.url}/api/v1/files/folder/a%20file.bin`);
    expect(whole.headers.get('x-checksum-sha256')).toBe(content.sha256());
    expect(Buffer.from(await whole.arrayBuffer()).equals(content.bytes())).toBe(true);
    const part = await fetch(`${hub.url}/api/v1/files/folder/a%20file.bin`, {
      headers: { range: 'bytes=9000000-9000099' },
    });
    expect(part.status).toBe(206);
    expect(Buffer.from(await part.arrayBuffer()).equals(content.bytes(9_000_000, 9_000_100))).toBe(true);
  });

  it('never shows its secrets: not in answers, errors, logs, the catalog or the process list', async () => {
    const answers = await Promise.all(
      ['/api/v1/storage/backends', `/api/v1/storage/backends/${id}`, '/api/v1/operations', '/metrics'].map(
        async (url) => (await hub.api(url)).text(),
      ),
    );
    const refused = await hub.api(filesPath(id, '/none'), { method: 'DELETE' });
    const catalog = await readFile(path.join(hub.dataDir, 'holdfast.db'), 'latin1');
    const wal = await readFile(path.join(hub.dataDir, 'holdfast.db-wal'), 'latin1').catch(() => '');
    const everything = [
      ...answers,
      await refused.text(),
      hub.stderr(),
      catalog,
      wal,
      await commandLines(),
    ].join('\n');
    for (const value of secrets) expect(everything).not.toContain(value);
    if (type !== 'nfs') expect(secrets.length).toBeGreaterThan(0);
  });

  it('cuts a transfer whose bytes were garbled on the way from the storage', async () => {
    const content = new RandomContent(`${type} garbled`, 32 * mebibyte);
    await uploadStream(hub, id, '/garbled.bin', content.stream(), content.size);
    const flipped = proxy.flipByte({ direction: 'toClient', afterBytes: 5 * mebibyte });
    const outcome = await fetch(`${hub.url}/api/v1/files/garbled.bin`)
      .then((response) => response.arrayBuffer())
      .then(
        (bytes) => (Buffer.from(bytes).equals(content.bytes()) ? 'whole' : 'garbled'),
        () => 'cut',
      );
    expect(['cut', 'whole']).toContain(outcome); // whole: the storage's protocol noticed and read again
    if (type !== 'iscsi') await flipped; // the file may still be in the page cache of the mounted file system
  });

  it('boots a machine from its files', { timeout: 180_000 }, async () => {
    await storeKernel(hub);
    const machine = await addMachine(hub, { mac: '52:54:00:00:01:01', firmware: 'bios' });
    const console = await bootVm({
      firmware: 'bios',
      mac: '52:54:00:00:01:01',
      bootfile: `http://10.0.2.2:${new URL(hub.url).port}/api/v1/ipxe/boot.ipxe`,
      marker: `${bootedMarker} ${machine.id}`,
      timeoutMs: 150_000,
    });
    expect(console).toContain(installedMarker);
    expect(await nodeState(hub, machine.id)).toBe('installed');
  });
});

async function commandLines(): Promise<string> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(
    pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => '')),
  );
  return lines.join('\n');
}
