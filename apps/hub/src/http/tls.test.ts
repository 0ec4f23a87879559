import { unwatchFile, watchFile } from 'node:fs';
import { rename, readFile, writeFile } from 'node:fs/promises';
import { get } from 'node:https';
import { connect } from 'node:tls';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { runProcess } from '@holdfast/test-support/process';
import { makeTempDir, type TempDir } from '@holdfast/test-support/temp-dir';
import { hubConfig, startTestHub } from '../testing/test-hub.ts';
import { startHub } from '../start.ts';

const RELOAD_MS = 25_000;
const ignore = (): void => {};

let folder: TempDir;
beforeAll(async () => {
  folder = await makeTempDir('tls');
});
afterAll(() => folder[Symbol.asyncDispose]());

/** Makes a key and a self-signed certificate for 127.0.0.1. */
async function makePair(name: string): Promise<{ certFile: string; keyFile: string; fingerprint: string }> {
  const [certFile, keyFile] = [folder.join(`${name}.crt`), folder.join(`${name}.key`)];
  const subject = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2'];
  const files = ['-keyout', keyFile, '-out', certFile];
  await runProcess('openssl', [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-noenc',
    ...subject,
    ...files,
  ]);
  return { certFile, keyFile, fingerprint: new X509Certificate(await readFile(certFile)).fingerprint256 };
}

/** The fingerprint of the certificate that a new connection meets. */
async function fingerprintAt(url: string): Promise<string> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port), rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  const { fingerprint256 } = socket.getPeerCertificate();
  socket.destroy();
  return fingerprint256;
}

async function getText(url: string, ca: Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    get(url, { ca, agent: false }, (answer) => {
      let text = '';
      answer.on('data', (chunk: Buffer) => (text += chunk.toString()));
      answer.once('end', () => resolve(text));
    }).once('error', reject);
  });
}

describe('TLS', () => {
  it('is spoken with the certificate, and boot scripts say https', async () => {
    const pair = await makePair('served');
    await using hub = await startTestHub({ tls: pair });
    expect(hub.url).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/);
    const ca = await readFile(pair.certFile);
    expect(await getText(`${hub.url}/healthz`, ca)).toBe('{"status":"ok"}');
    expect(await getText(`${hub.url}/api/v1/ipxe/boot.ipxe`, ca)).toContain(
      `--replace ${hub.url}/api/v1/boot?`,
    );
    await expect(fetch(`${hub.url}/healthz`)).rejects.toThrow('fetch failed'); // nobody vouches for it
    await expect(fetch(`${hub.url.replace('https', 'http')}/healthz`)).rejects.toThrow('fetch failed');
  });

  it('takes up a changed certificate without a restart, and stays with the former one while it is broken', async () => {
    const pair = await makePair('former');
    const next = await makePair('next');
    using watched = new DisposableStack();
    for (const file of [pair.certFile, pair.keyFile]) {
      // Node has one watcher a file, at the interval of who came first: nobody has to wait for the hub's own.
      watchFile(file, { interval: 20 }, ignore);
      watched.defer(() => unwatchFile(file, ignore));
    }
    await using hub = await startTestHub({ tls: { certFile: pair.certFile, keyFile: pair.keyFile } });
    expect(await fingerprintAt(hub.url)).toBe(pair.fingerprint);

    await writeFile(pair.certFile, 'no certificate');
    await vi.waitUntil(() => hub.logs().includes('the former one stays'), {
      timeout: RELOAD_MS,
      interval: 50,
    });
    expect(await fingerprintAt(hub.url)).toBe(pair.fingerprint);

    await rename(next.keyFile, pair.keyFile);
    await rename(next.certFile, pair.certFile);
    await vi.waitUntil(async () => (await fingerprintAt(hub.url)) === next.fingerprint, {
      timeout: RELOAD_MS,
      interval: 50,
    });
  });

  it('without its files keeps the hub from starting, and says which', async () => {
    const { certFile } = await makePair('alone');
    const keyFile = folder.join('missing.key');
    const config = hubConfig({ dataDir: folder.join('data'), tls: { certFile, keyFile } });
    await expect(startHub(config)).rejects.toMatchObject({
      code: 'validation_failed',
      message: expect.stringContaining(keyFile),
    });
  });

  it.each([
    ['no PEM at all', 'broken'],
    ['the key of another certificate', 'foreign'],
  ])('with %s keeps the hub from starting, and says so', async (_, kind) => {
    const pair = await makePair(`${kind}-own`);
    const other = await makePair(`${kind}-other`);
    if (kind === 'broken') await writeFile(other.keyFile, 'no key');
    const config = hubConfig({
      dataDir: folder.join(kind),
      tls: { certFile: pair.certFile, keyFile: other.keyFile },
    });
    await expect(startHub(config)).rejects.toMatchObject({
      code: 'validation_failed',
      message: expect.stringContaining('TLS'),
    });
  });
});
