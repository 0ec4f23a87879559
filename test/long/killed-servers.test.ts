import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { Readable } from 'node:stream';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { backend } from '@holdfast/contract/backends';
import { startCeph } from '../support/ceph.ts';
import { startGanesha } from '../support/ganesha.ts';
import { type HubUnderTest, startHub } from '../support/hub.ts';
import {
  bootBackend,
  changeSettings,
  filesPath,
  json,
  parseProblem,
  store,
  uploadStream,
} from '../support/hub-storage.ts';
import { openResponse } from '../support/open-response.ts';
import { RandomContent } from '../support/random-file.ts';
import { createBucket } from '../support/s3-bucket.ts';
import type { S3Server } from '../support/s3-server.ts';
import { startSwift } from '../support/swift.ts';
import { startTgt } from '../support/tgt.ts';
import { startWebdavNginx } from '../support/webdav-nginx.ts';

const gibibyte = 1024 ** 3;
/** How long a server is away, at least; the patience of every backend is several times as long. */
const outageMs = 5000;
const content = new RandomContent('killed servers', gibibyte);
const half = gibibyte / 2;
const former = 'what was there before';
const secret = 'correct-horse-battery';

/** A server that can be killed, and how a hub is told of it. */
interface Subject extends AsyncDisposable {
  kill(): Promise<void>;
  restart(): Promise<void>;
  body: { type: string; config: Record<string, unknown>; format?: boolean };
}

function subject(
  server: AsyncDisposable & Pick<Subject, 'kill' | 'restart'>,
  body: Subject['body'],
): Subject {
  return {
    body,
    kill: () => server.kill(),
    restart: () => server.restart(),
    [Symbol.asyncDispose]: async () => server[Symbol.asyncDispose](),
  };
}

async function nfs(version: '4' | '3'): Promise<Subject> {
  const server = await startGanesha({ protocols: version });
  const options = version === '4' ? 'vers=4.1' : `vers=3,mountport=${server.mountPort}`;
  const { host, port, exportPath } = server;
  const config = { server: host, port, export_path: exportPath, mode: 'direct', mount_options: options };
  return subject(server, { type: 'nfs', config });
}

async function iscsi(): Promise<Subject> {
  const server = await startTgt({
    sizeBytes: 4 * gibibyte,
    chap: { username: 'hub', password: secret },
    parameters: { HeaderDigest: 'CRC32C,None', DataDigest: 'CRC32C,None' },
  });
  const { target, port, lun } = server;
  const chap = { chap_enabled: true, chap_username: 'hub', chap_password: secret };
  const config = { target, portal: '127.0.0.1', port, lun, ...chap, mode: 'direct' };
  return subject(server, { type: 'iscsi', format: true, config });
}

async function http(): Promise<Subject> {
  const server = await startWebdavNginx({ basic: { username: 'hub', password: secret } });
  const config = {
    base_url: `http://127.0.0.1:${server.ports.dav}/`,
    auth_method: 'basic',
    username: 'hub',
    password: secret,
    writable: true,
  };
  return subject(server, { type: 'http', config });
}

async function s3(starting: Promise<S3Server>): Promise<Subject> {
  const server = await starting;
  await createBucket(server, 'killed');
  const config = {
    endpoint: server.url,
    bucket: 'killed',
    access_key_id: server.accessKeyId,
    secret_access_key: server.secretAccessKey,
    path_style: true,
  };
  return subject(server, { type: 's3', config });
}

function downloadPath(backendId: string): string {
  return filesPath(backendId, '/large.bin').replace('/files?', '/files/download?');
}

/** What becomes of a write whose server goes away: a body that came once cannot be sent to WebDAV again. */
const cases: [name: string, write: 'goes on' | 'fails clearly', start: () => Promise<Subject>][] = [
  ['nfs, version 4.1', 'goes on', () => nfs('4')],
  ['nfs, version 3', 'goes on', () => nfs('3')],
  ['iscsi', 'goes on', iscsi],
  ['s3 on Ceph', 'goes on', () => s3(startCeph())],
  ['s3 on Swift', 'goes on', () => s3(startSwift())],
  ['http', 'fails clearly', http],
];

describe.each(cases)('a server that is killed for 5 s, %s', { timeout: 900_000 }, (_name, write, start) => {
  const resources = new AsyncDisposableStack();
  let server: Subject;
  let hub: HubUnderTest;
  let id: string;
  let localId: string;
  let sha256: string;

  beforeAll(async () => {
    server = resources.use(await start());
    hub = resources.use(await startHub());
    await changeSettings(hub, { file_serving_bandwidth_mbps: 100_000 });
    const init = json('POST', { name: 'killed', ...server.body });
    ({ id } = await hub.data(backend, '/api/v1/storage/backends', init));
    const local = await bootBackend(hub);
    localId = local.id;
    await content.writeTo(path.join(local.root, 'large.bin'));
    sha256 = content.sha256();
    await store(hub, id, '/large.bin', former);
  }, 300_000);

  afterAll(() => resources.disposeAsync());

  /** The SHA-256 of what the hub sends; called with the bytes so far. */
  async function download(backendId: string, progress?: (bytes: number) => void): Promise<string> {
    const authorization = `Bearer ${hub.adminKey}`;
    const response = await openResponse(hub.url + downloadPath(backendId), { authorization });
    expect(response.statusCode).toBe(200);
    const hash = createHash('sha256');
    let received = 0;
    const body: AsyncIterable<Buffer> = response;
    for await (const chunk of body) {
      hash.update(chunk);
      received += chunk.byteLength;
      progress?.(received);
    }
    return hash.digest('hex');
  }

  /** The server goes away; meanwhile the same file comes from another backend through the same hub, as a whole. */
  async function outage(): Promise<string> {
    await server.kill();
    try {
      const [other] = await Promise.all([download(localId), delay(outageMs)]);
      return other;
    } finally {
      await server.restart();
    }
  }

  /** Calls `outage` once, when half of the bytes have gone by. */
  function atHalf(): { progress: (bytes: number) => void; meanwhile: Promise<string> } {
    const { promise: reached, resolve } = Promise.withResolvers<void>();
    const meanwhile = reached.then(outage);
    // Looked at once the transfer has ended.
    meanwhile.catch(() => undefined);
    const progress = (bytes: number): void => {
      if (bytes >= half) resolve();
    };
    return { progress, meanwhile };
  }

  it(`in the middle of a write: it ${write}, and other backends go on at once`, async () => {
    const { progress, meanwhile } = atHalf();
    function* watched(): Generator<Buffer> {
      let taken = 0;
      for (const piece of content.pieces()) {
        progress(taken);
        taken += piece.byteLength;
        yield piece;
      }
    }
    const source = Readable.from(watched(), { objectMode: false, highWaterMark: 1024 ** 2 });
    const outcome = await uploadStream(hub, id, '/large.bin', source, content.size);
    expect(await meanwhile).toBe(sha256);
    if (write === 'goes on') {
      expect(outcome, outcome.body).toMatchObject({ status: 200 });
    } else {
      const { code } = parseProblem('application/problem+json', outcome.body);
      expect([outcome.status, code]).toEqual([503, 'backend_unavailable']);
      const kept = await hub.api(downloadPath(id));
      expect(await kept.text()).toBe(former);
      const again = await uploadStream(hub, id, '/large.bin', content.stream(), content.size);
      expect(again, again.body).toMatchObject({ status: 200 });
    }
    expect(await download(id)).toBe(sha256);
  });

  it('in the middle of a read: it goes on, and other backends go on at once', async () => {
    // Nothing of the file is in the memory of the old process, or in the page cache of a file system that it had mounted.
    await hub.restart();
    const { progress, meanwhile } = atHalf();
    expect(await download(id, progress)).toBe(sha256);
    expect(await meanwhile).toBe(sha256);
  });
});
