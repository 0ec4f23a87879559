import { joinBackendPath, parseBackendPath } from '@holdfast/bytes/backend-path';
import { sha256Hex } from '@holdfast/bytes/sha256';
import { makeTempDir } from '@holdfast/test-support/temp-dir';
import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { describeStorageConformance } from '../../conformance.ts';
import { chunksOf, sampleBytes } from '../../conformance/sample-bytes.ts';
import { refusal } from '../../conformance/subject.ts';
import { prepareLocalRoot } from '../../local.ts';
import { parseNfsConfig } from '../config.ts';
import { createDirectBackend } from '../direct.ts';
import { makeTestShare } from '../testing/test-share.ts';
import { chooseClient } from './choosing.ts';
import { withFallback } from './falling-back.ts';
import { createKernelBackend } from './kernel-backend.ts';
import { KernelMount } from './kernel-mount.ts';
import type { MountTools } from './kernel-mount.ts';
import { kernelObstacle, lookAtKernel } from './kernel-support.ts';
import type { KernelSupport } from './kernel-support.ts';
import { mountArguments } from './mount-command.ts';
import { explainMountOutput, MountFailed } from './mount-problem.ts';
import { findMount } from './mount-table.ts';
import { prepareByKernel } from './preparing.ts';
import { verifyReadBack } from './read-back.ts';

const able: KernelSupport = {
  platform: 'linux',
  uid: 0,
  fileSystems: 'nodev\tsysfs\n\text4\nnodev\tnfs4\n',
  hasModules: false,
  hasMountHelper: true,
};
const settings = parseNfsConfig({ server: 'nas', export_path: '/srv/share' });
const file = parseBackendPath('/folder/file');

/** Stands in for mount(8): the share is a folder that is moved to the mount point, and back. */
class FolderMounts implements MountTools {
  readonly share: string;
  readonly calls: string[][] = [];
  mountedAt: string | undefined;
  source = 'nas:/srv/share';
  failure: Error | undefined;
  isBusy = false;

  constructor(share: string) {
    this.share = share;
  }

  async mount(args: readonly string[]): Promise<void> {
    this.calls.push(['mount', ...args]);
    if (this.failure !== undefined) throw this.failure;
    const mountPoint = args.at(-1) ?? '';
    await rmdir(mountPoint);
    await rename(this.share, mountPoint);
    this.mountedAt = mountPoint;
  }

  async unmount(args: readonly string[]): Promise<void> {
    this.calls.push(['umount', ...args]);
    if (this.isBusy && !args.includes('-l')) throw new Error('umount: target is busy.');
    const mountPoint = args.at(-1) ?? '';
    await rename(mountPoint, this.share);
    await mkdir(mountPoint);
    this.mountedAt = undefined;
  }

  async readTable(): Promise<string> {
    const escaped = this.mountedAt?.replaceAll(' ', '\\040');
    const line = `40 1 0:30 / ${escaped} rw,relatime shared:1 - nfs4 ${this.source} rw,vers=4.1\n`;
    return `22 1 8:1 / / rw,relatime - ext4 /dev/root rw\n${this.mountedAt === undefined ? '' : line}`;
  }
}

async function makeMounts(): Promise<
  { mounts: FolderMounts; mountRoot: string; volumeId: string } & AsyncDisposable
> {
  const work = await makeTempDir('nfs kernel');
  const share = work.join('share');
  await mkdir(share);
  const { volumeId } = await prepareLocalRoot({ root: share });
  return {
    mounts: new FolderMounts(share),
    mountRoot: work.join('mounts'),
    volumeId,
    [Symbol.asyncDispose]: () => work[Symbol.asyncDispose](),
  };
}

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
      'vers=4.1,port=2049,soft,timeo=50,retrans=2,nosuid,nodev',
      'nas:/srv/share',
      '/mnt/x',
    ]);
    expect(argumentsOf({ mount_options: 'nfsvers=3,hard,timeo=600,nconnect=4', port: 2050 })[3]).toBe(
      'vers=3,port=2050,hard,timeo=600,nconnect=4,retrans=2,nosuid,nodev',
    );
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

it('a mount is found in the table by its unescaped name, the last one first', () => {
  const table =
    '1 0 8:1 / / rw - ext4 /dev/root rw\n' +
    '40 1 0:30 / /mnt/a\\040b rw,relatime shared:1 master:2 - nfs4 nas:/one rw\n' +
    '41 1 0:31 / /mnt/a\\040b rw - nfs4 nas:/two rw\n' +
    'not a line of it\n';
  expect(findMount(table, '/mnt/a b')).toEqual({
    mountPoint: '/mnt/a b',
    fileSystem: 'nfs4',
    source: 'nas:/two',
  });
  expect(findMount(table, '/mnt/a')).toBeUndefined();
});

describe('a mounted share', () => {
  it('is mounted when it is first used, once, again when it is gone, and unmounted at the end', async () => {
    await using made = await makeMounts();
    const { mounts, mountRoot, volumeId } = made;
    const options = { volumeId, ownerId: 'hub-1', mountRoot, timeLimitMs: 5000, tools: mounts };
    {
      await using backend = createKernelBackend(settings, options);
      expect(mounts.calls).toEqual([]);
      await Promise.all([1, 2, 3].map((n) => backend.write(file, chunksOf(sampleBytes(n)))));
      expect(mounts.calls.map(([program]) => program)).toEqual(['mount']);
      await mounts.unmount([join(mountRoot, `nfs-${volumeId}`)]);
      await backend.stat(file);
      expect(mounts.mountedAt).toBe(join(mountRoot, `nfs-${volumeId}`));
    }
    expect(mounts.mountedAt).toBeUndefined();
    expect(await readdir(mountRoot)).toEqual([]);
  });

  it('is taken over from a hub that was killed, and taken away when it is of another share', async () => {
    await using made = await makeMounts();
    const { mounts, mountRoot } = made;
    const mountPoint = join(mountRoot, 'point');
    const first = new KernelMount(settings, mountPoint, 5000, mounts);
    await first.ensure();
    const second = new KernelMount(settings, mountPoint, 5000, mounts);
    await second.ensure();
    expect(mounts.calls).toHaveLength(1);
    mounts.source = 'nas:/other';
    mounts.isBusy = true;
    await second.ensure();
    expect(mounts.calls.slice(1).map((call) => call.slice(0, 3))).toEqual([
      ['umount', mountPoint],
      ['umount', '-l', '-f'],
      ['mount', '-t', 'nfs'],
    ]);
  });

  it('that is gone and does not come back is refused before anything is written', async () => {
    await using made = await makeMounts();
    const { mounts, mountRoot, volumeId } = made;
    const options = { volumeId, ownerId: 'hub-1', mountRoot, timeLimitMs: 5000, tools: mounts };
    await using backend = createKernelBackend(settings, options);
    mounts.failure = Object.assign(new Error('exit 32'), { stderr: 'mount.nfs: Connection refused' });
    const error = await refusal(backend.write(file, chunksOf(sampleBytes(1))), 'backend_unavailable');
    expect(error.message).toContain('nas:/srv/share cannot be mounted');
    const report = await backend.probe();
    expect(report.checks.find((check) => !check.ok)?.name).toMatch(/resolve|export/);
    expect(await readdir(join(mountRoot, `nfs-${volumeId}`))).toEqual([]);
  });

  it('is prepared on a mount of its own, which does not stay', async () => {
    await using made = await makeMounts();
    const { mounts, mountRoot, volumeId } = made;
    expect(await prepareByKernel(settings, { mountRoot, timeLimitMs: 5000, tools: mounts })).toEqual({
      volumeId,
    });
    expect(mounts.mountedAt).toBeUndefined();
    expect(await readdir(mountRoot)).toEqual([]);
    mounts.failure = Object.assign(new Error('exit 32'), { stderr: 'mount.nfs: access denied by server' });
    const prepare = prepareByKernel(settings, { mountRoot, timeLimitMs: 5000, tools: mounts });
    expect((await refusal(prepare, 'validation_failed')).errors?.[0]?.field).toBe('config.export_path');
  });

  it('fails in words when the real mount(8) fails', async () => {
    await using work = await makeTempDir('nfs-mount');
    const nowhere = parseNfsConfig({
      server: '127.0.0.1',
      export_path: '/none',
      port: 1,
      mount_options: 'vers=4.1,retry=0',
    });
    const mount = new KernelMount(nowhere, work.join('point'), 10_000);
    await expect(mount.ensure()).rejects.toBeInstanceOf(MountFailed);
    await mount[Symbol.asyncDispose]();
    expect(existsSync(work.join('point'))).toBe(false);
  });
});

it('a machine that turns out not to be able to mount is served by our own client', async () => {
  await using share = await makeTestShare();
  await using made = await makeMounts();
  made.mounts.failure = Object.assign(new Error('exit 1'), { stderr: 'mount: only root can do that' });
  const { volumeId } = share.options;
  const options = { volumeId, ownerId: 'hub-1', timeLimitMs: 5000 };
  const kernel = createKernelBackend(settings, { ...options, mountRoot: made.mountRoot, tools: made.mounts });
  await using backend = withFallback(kernel, () =>
    createDirectBackend(parseNfsConfig(share.options), options),
  );
  expect(backend.capabilities.positionalRead).toBe(true);
  const [first, second] = await Promise.all(
    [1, 2].map((n) => backend.write(parseBackendPath(`/${n}`), chunksOf(sampleBytes(n)))),
  );
  expect([first?.entry.size, second?.entry.size]).toEqual([1, 2]);
  expect(backend.capabilities.positionalRead).toBe(false);
  expect(made.mounts.calls).toHaveLength(1);
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

describeStorageConformance('nfs, kernel, on a folder in place of a mount', async () => {
  const made = await makeMounts();
  const { mounts, mountRoot, volumeId } = made;
  const options = { volumeId, ownerId: 'hub-1', mountRoot, timeLimitMs: 30_000, tools: mounts };
  const backend = createKernelBackend(
    parseNfsConfig({ server: 'localhost', export_path: '/srv/share' }),
    options,
  );
  mounts.source = 'localhost:/srv/share';
  await backend.mount();
  return {
    backend,
    seed: async (folder, names) => {
      const onDisk = (path: string): string => join(mounts.mountedAt ?? '', path);
      await mkdir(onDisk(folder), { recursive: true });
      for (const name of names) await writeFile(onDisk(joinBackendPath(folder, name)), 'x');
    },
    dispose: async () => {
      await backend[Symbol.asyncDispose]();
      await made[Symbol.asyncDispose]();
    },
  };
});
