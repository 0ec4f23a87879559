import { joinBackendPath, parseBackendPath } from '@holdfast/bytes/backend-path';
import { sha256Hex } from '@holdfast/bytes/sha256';
import { makeTempDir } from '@holdfast/test-support/temp-dir';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { describeStorageConformance } from '../../conformance.ts';
import { chunksOf, sampleBytes } from '../../conformance/sample-bytes.ts';
import { refusal } from '../../conformance/subject.ts';
import { parseNfsConfig } from '../config.ts';
import { createDirectBackend } from '../direct.ts';
import { FolderMounts } from '../testing/folder-mounts.ts';
import { makeTestShare } from '../testing/test-share.ts';
import { chooseClient } from './choosing.ts';
import { withFallback } from './falling-back.ts';
import { createKernelBackend } from './kernel-backend.ts';
import { kernelObstacle, lookAtKernel } from './kernel-support.ts';
import type { KernelSupport } from './kernel-support.ts';
import { mountArguments } from './mount-command.ts';
import { explainMountOutput } from './mount-problem.ts';
import { answersOfMount } from './mount-stats.ts';
import { prepareByKernel } from './preparing.ts';
import { verifyReadBack } from './read-back.ts';

const able: KernelSupport = {
  platform: 'linux',
  uid: 0,
  fileSystems: 'nodev\tsysfs\n\text4\nnodev\tnfs4\n',
  hasModules: false,
  hasMountHelper: true,
};
const settings = parseNfsConfig({ server: 'localhost', export_path: '/srv/share' });
const file = parseBackendPath('/folder/file');

describe('the kernel client', () => {
  it.each([
    [{}, undefined],
    [{ fileSystems: 'nodev\tnfsd\n', hasModules: true }, undefined],
    [{ platform: 'darwin' }, 'Linux only'],
    [{ uid: 1000 }, 'needs root'],
    [{ hasMountHelper: false }, 'nfs-common'],
    [{ fileSystems: 'nodev\tnfsd\n\text4\n' }, '/proc/filesystems'],
  ])('with %j is hindered by %s', (change, obstacle) => {
    const found = kernelObstacle({ ...able, ...change });
    if (obstacle === undefined) expect(found).toBeUndefined();
    else expect(found).toContain(obstacle);
  });

  it('is looked for on this machine without a throw', () => {
    expect(lookAtKernel().platform).toBe(process.platform);
  });

  it('is chosen by auto where it can be used, and never by direct', () => {
    const unable = { ...able, uid: 1000 };
    const choose = (
      mode: 'auto' | 'kernel' | 'direct',
      support: KernelSupport,
      root?: string,
      localPort?: number,
    ) => chooseClient({ mode, localPort }, root, support);
    expect(choose('auto', able, '/mnt')).toMatchObject({ client: 'kernel', mayFallBack: true });
    expect(choose('auto', able)).toEqual({ client: 'direct' });
    expect(choose('auto', able, '/mnt', 700)).toEqual({ client: 'direct' });
    expect(choose('auto', unable, '/mnt')).toEqual({ client: 'direct' });
    expect(choose('direct', able, '/mnt')).toEqual({ client: 'direct' });
    expect(choose('kernel', able, '/mnt')).toMatchObject({
      client: 'kernel',
      mayFallBack: false,
      obstacle: undefined,
    });
    expect(choose('kernel', unable, '/mnt')).toMatchObject({
      client: 'kernel',
      obstacle: expect.stringContaining('root'),
    });
    expect(() => choose('kernel', able)).toThrow('no folder to mount');
  });
});

describe('the arguments of mount(8)', () => {
  const argumentsOf = (config: Partial<Parameters<typeof parseNfsConfig>[0]>): string[] =>
    mountArguments(parseNfsConfig({ server: 'nas', export_path: '/srv/share/', ...config }), '/mnt/x');

  it('have a soft mount unless the administrator says otherwise', () => {
    expect(argumentsOf({})).toEqual([
      '-t',
      'nfs',
      '-o',
      'vers=4.1,port=2049,soft,timeo=50,retrans=2,retry=0,actimeo=0,nosuid,nodev',
      'nas:/srv/share',
      '/mnt/x',
    ]);
    const own = 'nfsvers=3,hard,timeo=600,nconnect=4,acregmax=5,suid';
    expect(argumentsOf({ mount_options: own, port: 2050 })[3]).toBe(
      'vers=3,port=2050,hard,timeo=600,nconnect=4,acregmax=5,suid,retrans=2,retry=0,nodev,nolock',
    );
    expect(argumentsOf({ mount_options: 'vers=3,lock' })[3]).not.toContain('nolock');
  });

  it('put an IPv6 address in brackets', () => {
    expect(argumentsOf({ server: '[2001:db8::7]' })[4]).toBe('[2001:db8::7]:/srv/share');
  });
});

describe('what mount(8) printed', () => {
  it.each([
    ['mount.nfs: access denied by server while mounting nas:/x', 'config', 'export_path'],
    [
      'mount.nfs: mounting nas:/x failed, reason given by server: No such file or directory',
      'config',
      'export_path',
    ],
    ['mount.nfs: Failed to resolve server nas: Name or service not known', 'config', 'server'],
    ['mount.nfs: an incorrect mount option was specified', 'config', 'mount_options'],
    ['mount.nfs: requested NFS version or transport protocol is not supported', 'config', 'mount_options'],
    ["mount: /mnt: unknown filesystem type 'nfs'.", 'unsupported', 'mode'],
    ['mount.nfs: No such device', 'unsupported', 'mode'],
    ['mount: only root can do that', 'unsupported', 'mode'],
    ['mount.nfs: failed to apply fstab options', 'unsupported', 'mode'],
    ['mount.nfs: Protocol not supported', 'config', 'mount_options'],
    ['mount.nfs: mount system call failed', 'unavailable', 'server'],
    ['mount.nfs: Operation not permitted', 'unsupported', 'mode'],
    [
      'mount: bad option; for several filesystems (e.g. nfs, cifs) you might need a /sbin/mount.<type> helper program.',
      'unsupported',
      'mode',
    ],
    ['mount.nfs: Connection refused', 'unavailable', 'server'],
    ['', 'unavailable', 'server'],
  ])('as %j means %s, %s', (output, kind, field) => {
    expect(explainMountOutput(output)).toMatchObject({ kind, field });
  });
});

describe('the answers of a server', () => {
  const entry = (mountPoint: string, ...receives: number[]): string =>
    [
      `device nas:/srv/share mounted on ${mountPoint} with fstype nfs4 statvers=1.1`,
      '\topts:\trw,vers=4.1,soft,proto=tcp,port=2049,timeo=50,retrans=2',
      '\tRPC iostats version: 1.1  p/v: 100003/4 (nfs)',
      ...receives.map((count) => `\txprt:\ttcp 0 0 2 0 3 164 ${count} 0 181 0 32 497 17`),
      '\tper-op statistics',
      '',
    ].join('\n');

  it('are counted over all connections of the mount, and of no other', () => {
    const table = `device /dev/root mounted on / with fstype ext4\n${entry('/mnt/a', 3)}${entry('/mnt/a\\040b', 160, 40)}`;
    expect(answersOfMount(table, '/mnt/a b')).toBe(200);
    expect(answersOfMount(table, '/mnt/a')).toBe(3);
    expect(answersOfMount(table, '/mnt')).toBeUndefined();
    expect(answersOfMount(table, '/')).toBeUndefined();
  });
});

describe('a mounted share', () => {
  it('is mounted when it is first used, once, where nobody else sees it, and again by the next backend', async () => {
    await using mounts = await FolderMounts.make();
    const { mountRoot, volumeId } = mounts;
    const options = { volumeId, ownerId: 'hub-1', mountRoot, timeLimitMs: 20_000 };
    {
      await using backend = createKernelBackend(settings, options);
      expect(await mounts.calls()).toEqual([]);
      await Promise.all([1, 2, 3].map((n) => backend.write(file, chunksOf(sampleBytes(n)))));
      expect(await mounts.calls()).toEqual([expect.stringContaining('mount -t nfs -o vers=4.1,')]);
      expect(await readdir(join(mounts.share, 'folder'))).toEqual(['file']);
      expect(await readdir(mountRoot)).toEqual([]);
    }
    await using another = createKernelBackend(settings, options);
    expect((await another.stat(file)).type).toBe('file');
    expect((await mounts.calls()).map((call) => call.split(' ')[0])).toEqual(['mount', 'umount', 'mount']);
  });

  it('that cannot be mounted is refused before anything is written', async () => {
    await using mounts = await FolderMounts.make();
    const { mountRoot, volumeId } = mounts;
    const options = { volumeId, ownerId: 'hub-1', mountRoot, timeLimitMs: 20_000 };
    await using backend = createKernelBackend(settings, options);
    await mounts.failWith('mount.nfs: Connection refused');
    const error = await refusal(backend.write(file, chunksOf(sampleBytes(1))), 'backend_unavailable');
    expect(error.message).toContain('localhost:/srv/share cannot be mounted');
    const report = await backend.probe();
    expect(report.checks.map(({ name, ok }) => `${name} ${ok}`)).toEqual(['resolve true', 'export false']);
    expect(await readdir(mountRoot)).toEqual([]);
    await mounts.failWith(undefined);
    expect((await backend.write(file, chunksOf(sampleBytes(1)))).entry.size).toBe(1);
  });

  it('is prepared on a mount of its own, which does not stay', async () => {
    await using mounts = await FolderMounts.make();
    const { mountRoot, volumeId } = mounts;
    const options = { mountRoot, timeLimitMs: 20_000 };
    expect(await prepareByKernel(settings, options)).toEqual({ volumeId });
    expect((await mounts.calls()).map((call) => call.split(' ')[0])).toEqual(['mount', 'umount']);
    await mounts.failWith('mount.nfs: access denied by server');
    const refused = await refusal(prepareByKernel(settings, options), 'validation_failed');
    expect(refused.errors?.[0]?.field).toBe('config.export_path');
    await mounts.failWith('mount.nfs: an incorrect mount option was specified');
    const option = await refusal(prepareByKernel(settings, options), 'validation_failed');
    expect(option.errors?.[0]?.field).toBe('config.mount_options');
    await mounts.failWith('mount.nfs: Connection timed out');
    await refusal(prepareByKernel(settings, options), 'backend_unavailable');
  });

  it('whose mount(8) does not end is given up', async () => {
    await using mounts = await FolderMounts.make();
    const { mountRoot, volumeId } = mounts;
    await mounts.hang();
    await using backend = createKernelBackend(settings, {
      volumeId,
      ownerId: 'hub-1',
      mountRoot,
      timeLimitMs: 300,
    });
    const error = await refusal(backend.stat(file), 'backend_unavailable');
    expect(error.message).toContain('did not answer in time');
  });
});

it('a machine that turns out not to be able to mount is served by our own client', async () => {
  await using share = await makeTestShare();
  await using mounts = await FolderMounts.make();
  await mounts.failWith('mount: only root can do that');
  const { volumeId } = share.options;
  const options = { volumeId, ownerId: 'hub-1', timeLimitMs: 20_000 };
  const kernel = createKernelBackend(settings, { ...options, mountRoot: mounts.mountRoot });
  let directs = 0;
  await using backend = withFallback(kernel, () => {
    directs += 1;
    return createDirectBackend(parseNfsConfig(share.options), options);
  });
  const [first, second] = await Promise.all(
    [1, 2].map((n) => backend.write(parseBackendPath(`/${n}`), chunksOf(sampleBytes(n)))),
  );
  expect([first?.entry.size, second?.entry.size]).toEqual([1, 2]);
  expect(directs).toBe(1);
  expect(await mounts.calls()).toHaveLength(1);
});

it('bytes that the server does not give back as they were sent are not published', async () => {
  await using work = await makeTempDir('nfs-read-back');
  const bytes = sampleBytes(3_000_000);
  await writeFile(work.join('staged'), bytes);
  await verifyReadBack(work.join('staged'), { size: bytes.byteLength, sha256: sha256Hex(bytes) });
  bytes[2_000_000] = (bytes[2_000_000] ?? 0) ^ 1;
  const verify = verifyReadBack(work.join('staged'), { size: bytes.byteLength, sha256: sha256Hex(bytes) });
  expect((await refusal(verify, 'backend_unavailable')).message).toContain('other bytes');
});

describeStorageConformance(
  'nfs, kernel, on a folder in place of a share',
  async () => {
    const mounts = await FolderMounts.make();
    const { mountRoot, volumeId } = mounts;
    const backend = createKernelBackend(settings, {
      volumeId,
      ownerId: 'hub-1',
      mountRoot,
      timeLimitMs: 30_000,
    });
    return {
      backend,
      seed: async (folder, names) => {
        const onDisk = (path: string): string => join(mounts.share, path);
        await mkdir(onDisk(folder), { recursive: true });
        for (const name of names) await writeFile(onDisk(joinBackendPath(folder, name)), 'x');
      },
      dispose: async () => {
        await backend[Symbol.asyncDispose]();
        await mounts[Symbol.asyncDispose]();
      },
    };
  },
  { contents: true },
);
