import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tusUpload, waitInBrowser } from '../support/clients.ts';
import { freePort } from '../support/free-port.ts';
import { startHub, type HubUnderTest } from '../support/hub.ts';
import { runProcess, startProcess } from '../support/process.ts';
import { RandomContent } from '../support/random-file.ts';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { makeTempDir, type TempDir } from '../support/temp-dir.ts';
import { serveTusPage, tusPageBytes, type TusPage } from '../support/tus-page.ts';

const MIB = 1024 * 1024;
const size = 24 * MIB + 77;
/** What an interruption may cost: the piece under way, and what is in the buffers of the connection. */
const tolerance = 8 * MIB;

const tuspy = `
import os
from tusclient import client
from tusclient.storage import filestorage

storage = filestorage.FileStorage(os.environ['STORE'])
uploader = client.TusClient(os.environ['ENDPOINT'], headers={'Authorization': 'Bearer ' + os.environ['KEY']}).uploader(
    os.environ['FILE'], chunk_size=1024 * 1024, metadata={'filename': 'from-tuspy.bin'},
    store_url=True, url_storage=storage, retries=5, retry_delay=1)
uploader.upload()
print('done', uploader.offset)
`;

describe('an interrupted upload goes on and ends verified, by', () => {
  const resources = new AsyncDisposableStack();
  let hub: HubUnderTest;
  let proxy: TcpProxy;
  let work: TempDir;
  let page: TusPage;

  beforeAll(async () => {
    work = resources.use(await makeTempDir('tus'));
    const port = await freePort();
    hub = resources.use(await startHub({ env: { HOLDFAST_PORT: String(port) } }));
    proxy = resources.use(await startTcpProxy({ port }));
    page = resources.use(await serveTusPage());
  });
  afterAll(() => resources.disposeAsync());

  const endpoint = (): string => `http://127.0.0.1:${proxy.listenPort}/api/tus`;

  /** Resets every connection in the middle of what is sent, then kills the hub a little later and starts it again. */
  const interrupt = async (): Promise<void> => {
    const start = proxy.bytes.toServer;
    await proxy.passed('toServer', start + 5 * MIB + 4321);
    proxy.cut();
    await proxy.passed('toServer', start + 13 * MIB + 1234);
    await hub.kill('SIGKILL');
    await hub.restart();
  };

  const expectContent = async (sha256: string): Promise<void> => {
    const answer = await hub.api(`/api/files/${sha256}/content`);
    expect(answer.status).toBe(200);
    const hash = createHash('sha256');
    await pipeline(answer.body ?? [], hash);
    expect(hash.digest('hex')).toBe(sha256);
  };

  it('tus-js-client in Node', async () => {
    const bytes = new RandomContent('tus-js-client', size).bytes();
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const before = proxy.bytes.toServer;
    const interrupted = interrupt();
    await tusUpload(bytes, {
      endpoint: endpoint(),
      headers: { authorization: `Bearer ${hub.adminKey}` },
      chunkSize: 2 * MIB,
      metadata: { filename: 'from-tus-js-client.bin', hostname: 'node-1', sha256 },
    });
    await interrupted;
    await expectContent(sha256);
    expect(proxy.bytes.toServer - before).toBeLessThan(size + tolerance);
  }, 120_000);

  it('Uppy in Chromium', async () => {
    const sha256 = createHash('sha256').update(tusPageBytes(size)).digest('hex');
    const query = new URLSearchParams({ endpoint: endpoint(), key: hub.adminKey, size: String(size) });
    const interrupted = interrupt();
    const title = await waitInBrowser(
      `${page.url}?${query.toString()}`,
      '/^(done|failed)/.test(document.title)',
    );
    expect(title).toBe('done');
    await interrupted;
    await expectContent(sha256);
  }, 180_000);

  it('tuspy, which is killed as well and finds its upload again', async () => {
    const bytes = new RandomContent('tuspy', size).bytes();
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const file = work.join('from-tuspy.bin');
    await writeFile(file, bytes);
    const env = { STORE: work.join('urls'), ENDPOINT: endpoint(), KEY: hub.adminKey, FILE: file };
    const before = proxy.bytes.toServer;
    {
      await using first = await startProcess('/usr/bin/python3', ['-c', tuspy], { env });
      await proxy.passed('toServer', before + 9 * MIB + 999);
      first.kill('SIGKILL');
      await first.exited;
    }
    await hub.kill('SIGKILL');
    await hub.restart();
    const { stdout } = await runProcess('/usr/bin/python3', ['-c', tuspy], { env });
    expect(stdout).toContain(`done ${size}`);
    await expectContent(sha256);
    expect(proxy.bytes.toServer - before).toBeLessThan(size + tolerance);
  }, 120_000);

  it('nobody whose checksummed bytes were changed on the way: 460, and the offset stays', async () => {
    const bytes = new RandomContent('flipped', MIB).bytes();
    const headers = { authorization: `Bearer ${hub.adminKey}`, 'tus-resumable': '1.0.0' };
    const created = await fetch(endpoint(), {
      method: 'POST',
      headers: {
        ...headers,
        'upload-length': String(MIB),
        'upload-metadata': `filename ${Buffer.from('flipped').toString('base64')}`,
      },
    });
    const target = new URL(created.headers.get('location') ?? '', endpoint());
    const send = (): Promise<Response> =>
      fetch(target, {
        method: 'PATCH',
        headers: {
          ...headers,
          'upload-offset': '0',
          'content-type': 'application/offset+octet-stream',
          'upload-checksum': `sha256 ${createHash('sha256').update(bytes).digest('base64')}`,
        },
        body: new Uint8Array(bytes),
      });
    const flipped = proxy.flipByte({ direction: 'toServer', afterBytes: MIB / 2 });
    expect((await send()).status).toBe(460);
    await flipped;
    const head = await fetch(target, { method: 'HEAD', headers });
    expect(head.headers.get('upload-offset')).toBe('0');
    expect((await send()).status).toBe(204);
    await expectContent(createHash('sha256').update(bytes).digest('hex'));
  });
});
