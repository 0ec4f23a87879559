import { parseBackendPath, ROOT } from '@holdfast/bytes/backend-path';
import { chunksOf, digestAt, sampleBytes } from '@holdfast/storage/conformance/sample-bytes';
import { refusal } from '@holdfast/storage/conformance/subject';
import { prepareNfs } from '@holdfast/storage/nfs';
import { readdir, stat } from 'node:fs/promises';
import { describe, expect, it, vi } from 'vitest';
import { large, MIB, sourceOf } from './contents.ts';
import { HostShare } from './host.ts';
import { NfsBench, nfsMounts, shareHolders } from './nfs-bench.ts';

const file = parseBackendPath('/folder/file');
const small = (): AsyncGenerator<Uint8Array> => chunksOf(sampleBytes(1000));
const patience = { timeout: 120_000 };

describe('a share', () => {
  it('is mounted by the kernel in mode auto, for its own process alone, until it is disposed', async () => {
    await using bench = await NfsBench.start({ mode: 'auto' });
    const { backend, share } = bench;
    const { sha256 } = await backend.write(file, sourceOf(large));
    expect(sha256).toBe(large.sha256());
    expect(await share.digest(file)).toBe(sha256);
    expect(await digestAt(backend, file)).toBe(sha256);

    const [holder = 0, ...others] = await shareHolders();
    expect(others).toEqual([]);
    const [mount = ''] = await nfsMounts(holder);
    expect(mount).toContain(`${share.address.host}:/export ${bench.options.mountRoot} nfs4`);
    const options = mount.split(' ')[3]?.split(',');
    expect(options).toEqual(expect.arrayContaining(['vers=4.1', 'soft', 'nosuid', 'nodev', 'acregmax=0']));
    expect(await nfsMounts('self')).toEqual([]);
    expect((await backend.probe()).checks.filter(({ ok }) => !ok)).toEqual([]);

    await backend[Symbol.asyncDispose]();
    expect(await shareHolders()).toEqual([]);
    expect(await readdir(bench.options.mountRoot)).toEqual([]);
    await using another = bench.another({ mode: 'kernel' });
    expect(await digestAt(another, file)).toBe(sha256);
  });

  it('of another volume is refused, and one without a marker, and nothing is written to either', async () => {
    await using bench = await NfsBench.start();
    await using blank = await HostShare.start();
    const { backend, share } = bench;
    const marker = { version: 1, volume_id: '00000000-0000-4000-8000-000000000000', created_at: new Date(0) };
    await share.tamper('/.holdfast/volume.json', Buffer.from(JSON.stringify(marker)));
    await refusal(backend.write(file, small()), 'wrong_volume');
    expect(await share.list('/')).toEqual(['.holdfast']);

    await using lost = bench.another({ port: blank.address.port });
    await refusal(lost.write(file, small()), 'backend_unavailable');
    expect(await blank.list('/')).toEqual([]);
  });

  it('whose server is down is refused in words, nothing is written elsewhere, and it comes back', async () => {
    await using bench = await NfsBench.start();
    const { backend, share } = bench;
    await share.kill();
    const error = await refusal(backend.write(file, small()), 'backend_unavailable');
    expect(error.message).toContain('Connection refused');
    const { checks } = await backend.probe();
    expect(checks.map(({ name, ok }) => `${name} ${ok}`)).toEqual(['resolve true', 'export false']);
    expect(await readdir(bench.options.mountRoot)).toEqual([]);
    await share.restart();
    expect((await backend.write(file, small())).replaced).toBe(false);
    expect(await share.list('/folder')).toEqual(['file']);
  });

  it('whose process was killed is mounted again', async () => {
    await using bench = await NfsBench.start();
    await bench.backend.write(file, small());
    for (const pid of await shareHolders()) process.kill(pid, 'SIGKILL');
    await vi.waitFor(async () => expect((await bench.backend.stat(file)).size).toBe(1000), patience);
  });

  it('whose folder was replaced on the server is mounted again', async () => {
    await using bench = await NfsBench.start();
    const { backend, share } = bench;
    await backend.write(file, small());
    await share.kill();
    await share.renew();
    await share.restart();
    await vi.waitFor(async () => expect((await backend.stat(file)).size).toBe(1000), patience);
    expect((await backend.write(file, small())).replaced).toBe(true);
  });
});

describe.each([
  ['NFSv4.1', {}],
  ['NFSv4.1 with a grace period', { graceSeconds: 22, leaseSeconds: 20 }],
  ['NFSv3', { protocols: '3' as const }],
])('a server by %s that is killed (kill -9) and started again', (_name, server) => {
  it('in the middle of a write and of a read: both go on, byte by byte', async () => {
    await using bench = await NfsBench.start(server);
    const { backend, share } = bench;
    const again = async (): Promise<void> => {
      await share.kill();
      await share.restart();
    };
    const written = await backend.write(file, sourceOf(large, { after: 12 * MIB, run: again }));
    expect(written.sha256).toBe(large.sha256());
    expect(await share.digest(file)).toBe(large.sha256());
    expect(await share.list('/.holdfast/staging')).toEqual([]);

    // By another mount, which has nothing of it in its memory yet.
    await using reader = bench.another({
      mount_options: `${bench.options.mount_options ?? ''},nosharecache`,
    });
    await using opened = await reader.open(file);
    const isAsItMustBe = large.checker();
    let come = 0;
    for await (const chunk of opened.stream()) {
      if (come === 0) await again();
      expect(isAsItMustBe(Buffer.from(chunk))).toBe(true);
      come += chunk.byteLength;
    }
    expect(come).toBe(large.size);
  });
});

describe('a server that hangs', () => {
  const timeLimitMs = 20_000;

  it('makes calls fail when its time is over, holds up nothing else, and is used again when it goes on', async () => {
    await using bench = await NfsBench.start({ timeLimitMs });
    const { backend, share } = bench;
    await backend.write(file, small());
    await share.freeze();
    let settled = 0;
    const calls = Array.from({ length: 8 }, async () => {
      const error = await refusal(backend.stat(file), 'backend_unavailable');
      settled += 1;
      return error.message;
    });
    // More than the process has threads: none of them may be held.
    await Promise.all(Array.from({ length: 16 }, () => stat('/')));
    expect(settled).toBe(0);
    for (const message of await Promise.all(calls)) expect(message).toContain('has not answered for 20 s');
    expect((await refusal(backend.list(ROOT), 'backend_unavailable')).message).toContain('cannot be mounted');
    await share.thaw();
    expect((await backend.stat(file)).size).toBe(1000);
  });

  it('in the middle of a write publishes nothing, and the write can be repeated', async () => {
    await using bench = await NfsBench.start({ timeLimitMs });
    const { backend, share } = bench;
    const source = sourceOf(large, { after: 12 * MIB, run: () => share.freeze() });
    await refusal(backend.write(file, source), 'backend_unavailable');
    await share.thaw();
    expect(await share.list('/folder').catch(() => [])).toEqual([]);
    expect((await backend.write(file, sourceOf(large))).sha256).toBe(large.sha256());
    await backend.sweep();
    expect(await share.list('/.holdfast/staging')).toEqual([]);
  });

  it('does not hold up the end of the backend, nor keep processes once it goes on', async () => {
    await using bench = await NfsBench.start({ timeLimitMs });
    const { backend, share } = bench;
    await backend.write(file, small());
    await share.freeze();
    const stuck = refusal(backend.stat(file), 'backend_unavailable', 'shutting_down');
    await backend[Symbol.asyncDispose]();
    await stuck;
    await share.thaw();
    await vi.waitFor(async () => expect(await shareHolders()).toEqual([]), patience);
  });
});

describe('a new configuration is refused with the field at fault', () => {
  it.each([
    ['a folder that is not exported', {}, { export_path: '/nowhere' }, 'export_path'],
    ['an option that there is not', {}, { mount_options: 'vers=4.1,frobnicate' }, 'mount_options'],
    [
      'a version that the server does not speak',
      { protocols: '3' as const },
      { mount_options: 'vers=4.1' },
      'mount_options',
    ],
  ])('%s', async (_name, server, changes, field) => {
    await using bench = await NfsBench.start(server);
    const { mountRoot, timeLimitMs } = bench.options;
    const config = { ...bench.options, ...changes };
    const error = await refusal(prepareNfs(config, { mountRoot, timeLimitMs }), 'validation_failed');
    expect(error.errors?.[0]?.field).toBe(`config.${field}`);
    expect(await readdir(mountRoot)).toEqual([]);
  });
});
