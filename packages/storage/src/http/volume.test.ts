import { parseBackendPath } from '@holdfast/bytes/backend-path';
import { HoldfastError } from '@holdfast/contract/errors';
import { freePort } from '@holdfast/test-support/free-port';
import { startWebdavNginx } from '@holdfast/test-support/webdav-nginx';
import { startApache } from '@holdfast/test-support/apache';
import { makeTempDir } from '@holdfast/test-support/temp-dir';
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inspect, promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { StorageBackend } from '../backend.ts';
import { bytesAt, chunksOf, sampleBytes } from '../conformance/sample-bytes.ts';
import { refusal } from '../conformance/subject.ts';
import { createHttpBackend, prepareHttp } from '../http.ts';
import type { HttpConfig } from '../http.ts';
import { isSuperuser } from '../local/testing/scratch-root.ts';
import { startScratchDav } from './testing/scratch-dav.ts';
import type { ScratchDav } from './testing/scratch-dav.ts';

const run = promisify(execFile);
const secret = 'pässword-of-the-test';
let dav: ScratchDav;
beforeAll(async () => {
  dav = await startScratchDav({ basic: { username: 'hub', password: secret } });
});
afterAll(() => dav[Symbol.asyncDispose]());

const onServer = (...names: string[]): string => join(dav.server.root, ...names);

async function fieldOf(config: HttpConfig): Promise<string | undefined> {
  return (await refusal(prepareHttp(config), 'validation_failed')).errors?.[0]?.field;
}

describe('prepareHttp', () => {
  it('writes a marker once, and adopts it from then on', async () => {
    const { volumeId } = await prepareHttp(dav.config);
    expect(await prepareHttp(dav.config)).toEqual({ volumeId });
    const marker: unknown = JSON.parse(await readFile(onServer('.holdfast/volume.json'), 'utf8'));
    expect(marker).toMatchObject({ volume_id: volumeId });
    expect(await dav.staged()).toEqual([]);
  });

  it('gives all of several at once the same id', async () => {
    await mkdir(onServer('shared'));
    const config = { ...dav.config, base_url: `${dav.config.base_url}shared` };
    const ids = await Promise.all(Array.from({ length: 6 }, () => prepareHttp(config)));
    expect(new Set(ids.map(({ volumeId }) => volumeId)).size).toBe(1);
    expect(await readdir(onServer('shared/.holdfast/staging'))).toEqual([]);
  });

  it('names the field that is to be mended', async () => {
    const { config } = dav;
    const base = config.base_url;
    expect(await fieldOf({ ...config, password: 'wrong' })).toBe('config.password');
    expect(await fieldOf({ base_url: base, writable: true })).toBe('config.auth_method');
    expect(await fieldOf({ ...config, base_url: `${base}missing/` })).toBe('config.base_url');
    expect(await fieldOf({ ...config, base_url: 'ftp://127.0.0.1/' })).toBe('config.base_url');
    expect(await fieldOf({ ...config, base_url: 'not an address' })).toBe('config.base_url');
    expect(await fieldOf({ ...config, base_url: `${base}?x=1` })).toBe('config.base_url');
    expect(await fieldOf({ ...config, base_url: 'http://user:pass@127.0.0.1/' })).toBe('config.base_url');
    expect(await fieldOf({ ...config, username: '' })).toBe('config.username');
    expect(await fieldOf({ ...config, username: 'a:b' })).toBe('config.username');
    expect(await fieldOf({ ...config, auth_method: 'bearer', password: 'two words' })).toBe(
      'config.password',
    );
    expect(await fieldOf({ ...config, listing: 'json' })).toBe('config.listing');
    expect(await fieldOf({ ...config, allow_redirects_to: ['http://x/path'] })).toBe(
      'config.allow_redirects_to',
    );
    await using plain = await startWebdavNginx();
    expect(await fieldOf({ base_url: `http://127.0.0.1:${plain.ports.html}/`, writable: true })).toBe(
      'config.writable',
    );
    expect(await fieldOf({ base_url: `http://127.0.0.1:${plain.ports.html}/none/` })).toBe('config.base_url');
    expect(await fieldOf({ base_url: `http://127.0.0.1:${plain.ports.html}/`, listing: 'json' })).toBe(
      'config.listing',
    );
  });

  it('tells a server that is not there as not reachable', async () => {
    const gone = { base_url: `http://127.0.0.1:${await freePort()}/` };
    const error = await refusal(prepareHttp(gone), 'backend_unavailable');
    expect(error.message).toContain('ECONNREFUSED');
    await refusal(prepareHttp(dav.config, { signal: AbortSignal.abort() }), 'cancelled');
  });
});

describe('a volume that is not the right one', () => {
  const path = parseBackendPath('/file');

  it('is refused before anything is written', async () => {
    await using other = createHttpBackend({ ...dav.config, volumeId: randomUUID(), ownerId: 'hub-1' });
    await refusal(other.write(path, chunksOf(sampleBytes(10))), 'wrong_volume');
    await refusal(other.remove(path), 'wrong_volume');
    await refusal(other.stat(parseBackendPath('/nothing')), 'wrong_volume');
    await refusal(other.sweep(), 'wrong_volume');
    const report = await other.probe();
    expect(report.checks.find((check) => !check.ok)?.name).toBe('volume');
    expect(await dav.staged()).toEqual([]);
  });

  it('that lost its marker while the bytes came in is not published to', async () => {
    const marker = onServer('.holdfast/volume.json');
    const text = await readFile(marker);
    async function* source(): AsyncGenerator<Uint8Array> {
      yield sampleBytes(10);
      await rm(marker);
    }
    const error = await refusal(dav.backend.write(path, source()), 'backend_unavailable');
    expect(error.message).toContain('marker');
    await writeFile(marker, text);
    await refusal(dav.backend.stat(path), 'file_not_found');
  });
});

describe('sweep', () => {
  it("removes this owner's leftovers, and anyone's after 24 hours", async () => {
    const plant = async (owner: string, hoursAgo: number): Promise<string> => {
      const name = `${owner}.${randomUUID()}.tmp`;
      const at = onServer('.holdfast/staging', name);
      await writeFile(at, 'leftover');
      const seconds = Date.now() / 1000 - hoursAgo * 3600;
      await utimes(at, seconds, seconds);
      return name;
    };
    await plant('hub-1', 0);
    const young = await plant('hub-2', 23);
    await plant('hub-2', 25);
    await writeFile(onServer('.holdfast/staging/notes'), 'not ours');
    expect(await dav.backend.sweep()).toEqual({ removed: 2, bytes: 16 });
    expect((await dav.staged()).toSorted()).toEqual([young, 'notes'].toSorted());
  });

  it('is not needed for a staging folder that somebody removed', async () => {
    await rm(onServer('.holdfast/staging'), { recursive: true });
    expect(await dav.backend.sweep()).toEqual({ removed: 0, bytes: 0 });
    const backend = dav.open();
    await backend.write(parseBackendPath('/after'), chunksOf(sampleBytes(10)));
    expect(await dav.staged()).toEqual([]);
  });
});

describe('versions within one second', () => {
  it('of one size have validators of their own, however fast they follow', async () => {
    const path = parseBackendPath('/fast');
    const seen: string[] = [];
    for (let version = 0; version < 5; version += 1) {
      seen.push((await dav.backend.write(path, chunksOf(sampleBytes(100, version)))).entry.validator);
      if (version === 2) await dav.backend.remove(path);
    }
    expect(new Set(seen).size).toBe(5);
  });

  it('keep theirs apart when one file is moved onto another', async () => {
    const [one, two] = [parseBackendPath('/move/one'), parseBackendPath('/move/two')];
    const move = moveOf(dav.backend);
    for (let round = 0; round < 3; round += 1) {
      await dav.backend.write(one, chunksOf(sampleBytes(100, round + 1)));
      await dav.backend.write(two, chunksOf(sampleBytes(100, round + 10)));
      const { validator } = await dav.backend.stat(two);
      const moved = await move(one, two, { overwrite: true });
      expect(moved.validator).not.toBe(validator);
      expect(await bytesAt(dav.backend, two)).toEqual(sampleBytes(100, round + 1));
      await refusal(dav.backend.stat(one), 'file_not_found');
    }
  });
});

// Mounting is for the superuser only.
if (isSuperuser) {
  describe.each([
    ['nginx', (root: string) => startWebdavNginx({ root })],
    ['Apache', (root: string) => startApache({ root })],
  ])('a full disk on %s', (_name, start) => {
    it('is told as such, and nothing shows of the file', async () => {
      await using work = await makeTempDir('full-disk');
      await run('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', work.path]);
      try {
        await using server = await start(work.join('root'));
        const config: HttpConfig = { base_url: `http://127.0.0.1:${server.ports.dav}/`, writable: true };
        const { volumeId } = await prepareHttp(config);
        await using backend = createHttpBackend({ ...config, volumeId, ownerId: 'hub-1' });
        const path = parseBackendPath('/large');
        await refusal(backend.write(path, chunksOf(Buffer.alloc(8_000_000))), 'storage_full');
        await refusal(backend.stat(path), 'file_not_found');
        await backend.sweep();
        expect(await readdir(work.join('root/.holdfast/staging'))).toEqual([]);
        await backend.write(path, chunksOf(sampleBytes(1000)));
      } finally {
        await run('umount', ['-l', work.path]);
      }
    });
  });
}

describe('secrets', () => {
  it('never show in errors, whatever goes wrong', async () => {
    const wrong = `${secret}-wrong`;
    const config = { ...dav.config, password: wrong };
    const backend = dav.open({ config: { password: wrong }, timeLimitMs: 300 });
    const path = parseBackendPath('/secret');
    const errors: unknown[] = [await refusal(prepareHttp(config), 'validation_failed')];
    const calls = (): Promise<unknown>[] => [
      backend.stat(path),
      backend.list(path),
      backend.write(path, chunksOf(sampleBytes(10))),
      backend.remove(path),
    ];
    errors.push(...(await Promise.all(calls().map((call) => refusal(call, 'backend_unavailable')))));
    const report = await backend.probe();
    expect(report.checks.find((check) => !check.ok)?.name).toBe('authenticate');
    expect(report.checks.find((check) => !check.ok)?.message).toContain('config.password');
    await dav.server.kill();
    errors.push(...(await Promise.all(calls().map((call) => refusal(call, 'backend_unavailable')))));
    await dav.server.restart();
    errors.push(report);
    const shown = errors.map((error) => inspect(error, { depth: 10, showHidden: true })).join('\n');
    for (const word of [wrong, secret, Buffer.from(`hub:${wrong}`).toString('base64')])
      expect(shown).not.toContain(word);
    expect(errors.filter((error) => error instanceof HoldfastError)).toHaveLength(9);
    expect(inspect(backend, { depth: 10 })).not.toContain(wrong);
  });
});

function moveOf(backend: StorageBackend): NonNullable<StorageBackend['move']> {
  if (backend.move === undefined) throw new Error('The backend cannot move.');
  return backend.move;
}
