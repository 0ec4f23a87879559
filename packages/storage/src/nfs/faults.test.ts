import { parseBackendPath, ROOT } from '@holdfast/bytes/backend-path';
import { startGanesha } from '@holdfast/test-support/ganesha';
import { freePort } from '@holdfast/test-support/free-port';
import { runProcess } from '@holdfast/test-support/process';
import { RandomContent } from '@holdfast/test-support/random-file';
import { makeTempDir } from '@holdfast/test-support/temp-dir';
import { mkdir, readdir, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { bytesAt, chunksOf, sampleBytes } from '../conformance/sample-bytes.ts';
import { refusal, requireRefusal } from '../conformance/subject.ts';
import { createNfsBackend, prepareNfs } from '../nfs.ts';
import { expectContent, MIB, sourceOf } from './testing/contents.ts';
import { makeTestShare } from './testing/test-share.ts';

const file = parseBackendPath('/folder/file');
const large = new RandomContent('faults', 64 * MIB);

describe.each(['4' as const, '3' as const])('a dead server, by NFSv%s', (protocols) => {
  it('that takes connections and never answers ends every call within the time limit', async () => {
    await using share = await makeTestShare({ protocols, timeLimitMs: 400 });
    const { backend, proxy } = share;
    await backend.write(file, chunksOf(sampleBytes(2 * MIB)));
    await using opened = await backend.open(file);
    proxy.stall();
    const calls = [
      backend.stat(file),
      backend.list(ROOT),
      backend.open(file),
      backend.write(file, chunksOf(sampleBytes(10))),
      backend.remove(file),
      backend.usage(),
      opened.revalidate(),
      opened.stream()[Symbol.asyncIterator]().next(),
    ];
    for (const outcome of await Promise.allSettled(calls)) {
      const error = requireRefusal(
        outcome.status === 'rejected' ? outcome.reason : outcome.value,
        'backend_unavailable',
      );
      expect(error.retryable).toBe(true);
    }
    const report = await backend.probe();
    expect(report.checks.filter(({ ok }) => ok).map(({ name }) => name)).toContain('resolve');
    expect(report.ok).toBe(false);
    proxy.resume();
    expect((await bytesAt(backend, file)).byteLength).toBe(2 * MIB);
  });

  it('in the middle of a write and a read ends them, and leaves nothing half-done', async () => {
    await using share = await makeTestShare({ protocols, timeLimitMs: 400 });
    const { backend, proxy } = share;
    const stall = { after: 20 * MIB, run: async () => proxy.stall() };
    await refusal(backend.write(file, sourceOf(large, stall)), 'backend_unavailable');
    proxy.resume();
    proxy.cut();
    await refusal(backend.stat(file), 'file_not_found');
    await backend.write(file, sourceOf(large));
    await refusal(expectContent(backend, file, large, stall), 'backend_unavailable');
    proxy.resume();
    await expectContent(backend, file, large);
    await backend.sweep();
    expect(await share.staged()).toEqual([]);
  });

  it('does not hold a caller who has cancelled', async () => {
    await using share = await makeTestShare({ protocols, timeLimitMs: 600_000 });
    const { backend, proxy } = share;
    await backend.write(file, chunksOf(sampleBytes(10 * MIB)));
    await using opened = await backend.open(file);
    proxy.stall();
    const controller = new AbortController();
    const { signal } = controller;
    const calls = [
      backend.stat(file, { signal }),
      backend.list(ROOT, { signal }),
      backend.open(file, { signal }),
      opened.stream(undefined, { signal })[Symbol.asyncIterator]().next(),
    ];
    controller.abort();
    await Promise.all(calls.map((call) => refusal(call, 'cancelled')));
    proxy.resume();
    expect((await backend.stat(file)).size).toBe(10 * MIB);
  });
});

describe('a server that is not there', () => {
  it('is told at once, and what to look at', async () => {
    const port = await freePort();
    const config = { server: '127.0.0.1', port, export_path: '/export', mode: 'direct' } as const;
    const error = await refusal(prepareNfs(config), 'backend_unavailable');
    expect(error.message).toContain('config.port');
    await using backend = createNfsBackend({ ...config, volumeId: 'v', ownerId: 'hub-1' });
    await refusal(backend.stat(ROOT), 'backend_unavailable');
    const report = await backend.probe();
    expect(report.checks.map(({ name, ok }) => [name, ok])).toEqual([
      ['resolve', true],
      ['connect', false],
      ['authenticate', false],
      ['export', false],
      ['volume', false],
      ['list', false],
      ['write', false],
      ['read', false],
      ['remove', false],
    ]);
    expect(report.checks[1]?.message).toContain('ECONNREFUSED');
  });

  it('or is something else than an NFS server', async () => {
    const { createServer } = await import('node:net');
    await using server = createServer((socket) => {
      socket.on('error', () => socket.destroy());
      socket.on('data', () => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'));
    });
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const prepare = prepareNfs(
      { server: '127.0.0.1', port, export_path: '/export', mode: 'direct' },
      { timeLimitMs: 2000 },
    );
    expect((await refusal(prepare, 'backend_unavailable')).message).toContain('makes no sense');
  });
});

describe('a new configuration', () => {
  it.each([
    [{ server: '-oproxy' }, 'config.server'],
    [{ server: 'a b' }, 'config.server'],
    [{ export_path: 'srv' }, 'config.export_path'],
    [{ export_path: '/srv/../etc' }, 'config.export_path'],
    [{ mount_options: 'vers=2' }, 'config.mount_options'],
    [{ mount_options: 'vers=4.1 -o x' }, 'config.mount_options'],
    [{ port: 0 }, 'config.port'],
    [{ local_port: 70_000 }, 'config.local_port'],
  ])('%j is refused by its field', async (change, field) => {
    const config = { server: '127.0.0.1', export_path: '/export', mode: 'direct' as const, ...change };
    expect((await refusal(prepareNfs(config), 'validation_failed')).errors?.[0]?.field).toBe(field);
  });

  it.each(['4' as const, '3' as const])(
    'with an export that the server does not have is refused, by NFSv%s',
    async (protocols) => {
      await using server = await startGanesha({ protocols });
      const config = {
        server: server.host,
        port: server.port,
        export_path: '/none',
        mode: 'direct',
      } as const;
      const error = await refusal(prepareNfs(config), 'validation_failed');
      expect(error.errors?.[0]).toMatchObject({ field: 'config.export_path' });
    },
  );

  it('for a user whom the server does not trust is refused', async () => {
    await using work = await makeTempDir('nfs-squash');
    await mkdir(work.join('private'), { mode: 0o700 });
    await using server = await startGanesha({
      root: work.join('private'),
      exportOptions: 'Squash = All_Squash;',
    });
    const config = {
      server: server.host,
      port: server.port,
      export_path: server.exportPath,
      mode: 'direct',
    } as const;
    const error = await refusal(prepareNfs(config), 'validation_failed');
    expect(error.errors?.[0]?.field).toBe('config.export_path');
    expect(error.message).toContain('squash');
  });

  it('adopts the marker that is there, whoever wrote it', async () => {
    await using share = await makeTestShare();
    const config = {
      server: share.server.host,
      port: share.server.port,
      export_path: '/export',
      mode: 'direct',
    } as const;
    expect(await prepareNfs(config)).toEqual({ volumeId: share.options.volumeId });
    await rm(share.onDisk('.holdfast'), { recursive: true });
    const ids = await Promise.all([1, 2, 3].map(() => prepareNfs(config)));
    expect(new Set(ids.map(({ volumeId }) => volumeId)).size).toBe(1);
    expect(await readdir(share.onDisk('.holdfast'))).toEqual(['staging', 'volume.json']);
    await writeFile(share.onDisk('.holdfast/volume.json'), 'not json');
    expect((await refusal(prepareNfs(config), 'validation_failed')).message).toContain('damaged');
  });

  it('may call from a privileged port where the server asks for one', async () => {
    await using server = await startGanesha({ exportOptions: 'PrivilegedPort = true;' });
    const config = {
      server: server.host,
      port: server.port,
      export_path: server.exportPath,
      mode: 'direct',
    } as const;
    const error = await refusal(prepareNfs(config), 'validation_failed');
    expect(error.message).toContain('config.local_port');
    const { volumeId } = await prepareNfs({ ...config, local_port: 987 });
    await using backend = createNfsBackend({ ...config, local_port: 987, volumeId, ownerId: 'hub-1' });
    await backend.write(file, chunksOf(sampleBytes(100)));
    await server.kill();
    await server.restart();
    expect((await bytesAt(backend, file)).byteLength).toBe(100);
  });
});

describe('a server without NFSv4.1', () => {
  it('is spoken to by NFSv3', async () => {
    await using server = await startGanesha({ protocols: '3,4', minorVersions: '0' });
    const config = {
      server: server.host,
      port: server.port,
      export_path: server.exportPath,
      mode: 'direct',
    } as const;
    const { volumeId } = await prepareNfs(config);
    await using backend = createNfsBackend({ ...config, volumeId, ownerId: 'hub-1' });
    await backend.write(file, chunksOf(sampleBytes(100)));
    const report = await backend.probe();
    expect(report.checks.find(({ name }) => name === 'authenticate')?.message).toContain('NFSv3');
  });
});

describe('the marker of the volume', () => {
  it('that is missing, or is of another volume, keeps everything from being changed', async () => {
    await using share = await makeTestShare();
    const { backend } = share;
    await backend.write(file, chunksOf(sampleBytes(10)));
    const write = (): Promise<unknown> => backend.write(file, chunksOf(sampleBytes(20)));
    await rename(share.onDisk('.holdfast'), share.onDisk('elsewhere'));
    for (const act of [write, () => backend.remove(file), () => backend.list(ROOT), () => backend.sweep()]) {
      expect((await refusal(act(), 'backend_unavailable')).message).toContain('marker');
    }
    await mkdir(share.onDisk('.holdfast'));
    await writeFile(share.onDisk('.holdfast/volume.json'), JSON.stringify({ volume_id: 'another' }));
    for (const act of [write, () => backend.remove(file), () => backend.list(ROOT)]) {
      expect((await refusal(act(), 'wrong_volume')).message).toContain(share.options.volumeId);
    }
    expect((await bytesAt(backend, file)).byteLength).toBe(10);
    await rm(share.onDisk('.holdfast'), { recursive: true });
    await rename(share.onDisk('elsewhere'), share.onDisk('.holdfast'));
    await write();
  });
});

describe('a share', () => {
  it('that is exported read-only refuses changes and still reads', async () => {
    await using share = await makeTestShare();
    await share.backend.write(file, chunksOf(sampleBytes(10)));
    await using readOnly = await startGanesha({ root: share.server.root, accessType: 'RO' });
    await using backend = createNfsBackend({ ...share.options, port: readOnly.port });
    for (const act of [
      () => backend.write(file, chunksOf(sampleBytes(20))),
      () => backend.remove(file),
      () => backend.makeFolder(parseBackendPath('/new')),
      () => backend.move(file, parseBackendPath('/new')),
    ]) {
      await refusal(act(), 'read_only');
    }
    expect((await bytesAt(backend, file)).byteLength).toBe(10);
    expect((await backend.probe()).checks.find(({ ok }) => !ok)?.name).toBe('write');
  });

  it('that is full says so, and keeps what was there', async () => {
    await using work = await makeTempDir('nfs-full');
    await runProcess('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', work.path]);
    await using _mount = {
      [Symbol.asyncDispose]: async () => void (await runProcess('umount', ['-l', work.path])),
    };
    await using share = await makeTestShare({ root: work.path });
    await share.backend.write(file, chunksOf(sampleBytes(1000)));
    const write = share.backend.write(file, sourceOf(large));
    expect((await refusal(write, 'storage_full')).retryable).toBe(true);
    expect((await bytesAt(share.backend, file)).byteLength).toBe(1000);
    expect(await share.staged()).toEqual([]);
    await share.backend.write(file, chunksOf(sampleBytes(2000)));
  });
});

it('a sweep removes what this hub left, and what anybody left long ago', async () => {
  await using share = await makeTestShare();
  const names = { own: 'hub-1', theirs: 'hub-2', old: 'hub-3' };
  const id = '0b9f7f0e-54ad-4b0c-9f5e-0d2a3b4c5d6e';
  const staging = share.onDisk('.holdfast/staging');
  for (const owner of Object.values(names)) await writeFile(join(staging, `${owner}.${id}.tmp`), 'left over');
  await writeFile(join(staging, 'not ours'), '');
  const longAgo = new Date(Date.now() - 25 * 3600 * 1000);
  await utimes(join(staging, `${names.old}.${id}.tmp`), longAgo, longAgo);
  expect(await share.backend.sweep()).toEqual({ removed: 2, bytes: 18 });
  expect((await share.staged()).toSorted()).toEqual([`${names.theirs}.${id}.tmp`, 'not ours']);
});

it('an idle backend does not keep its process alive, though nobody disposes it', async () => {
  await using share = await makeTestShare();
  const module = new URL('../nfs.ts', import.meta.url).href;
  const script = `
    const { createNfsBackend } = await import(${JSON.stringify(module)});
    const backend = createNfsBackend(${JSON.stringify(share.options)});
    const file = await backend.write('/from-child', (async function* () { yield Buffer.from('bytes'); })());
    const opened = await backend.open('/from-child');
    console.log(file.entry.size, opened.entry.size);
  `;
  const { stdout } = await runProcess(process.execPath, ['--input-type=module', '--eval', script], {
    timeoutMs: 20_000,
  });
  expect(stdout.trim()).toBe('5 5');
});

it('errors tell neither the credential nor anything of the hub but the path', async () => {
  const config = {
    server: '127.0.0.1',
    port: await freePort(),
    export_path: '/export',
    mode: 'direct',
  } as const;
  const error = await refusal(prepareNfs(config), 'backend_unavailable');
  expect(inspect(error, { depth: 10 })).not.toMatch(/credential|machine:/);
});
