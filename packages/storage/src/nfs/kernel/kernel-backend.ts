import { errnoOf, throwIfCancelled } from '@holdfast/bytes/durable-file';
import { HoldfastError } from '@holdfast/contract/errors';
import { lookup } from 'node:dns/promises';
import { join } from 'node:path';
import type { Capabilities, ProbeCheck, ProbeReport } from '../../backend.ts';
import { createLocalBackend } from '../../local.ts';
import type { NfsSettings } from '../config.ts';
import type { NfsBackend } from '../direct.ts';
import { KernelMount } from './kernel-mount.ts';
import type { MountTools } from './kernel-mount.ts';
import { mountError } from './mount-problem.ts';
import { verifyReadBack } from './read-back.ts';

/** As a local tree. */
const kernelCapabilities: Capabilities = {
  writable: true,
  move: true,
  copy: true,
  folders: true,
  usage: true,
  positionalRead: true,
};

export interface KernelBackendOptions {
  volumeId: string;
  ownerId: string;
  /** A folder under the hub's data directory, for mount points. */
  mountRoot: string;
  /** Milliseconds for a mount, and for a call to a server that is dead. */
  timeLimitMs: number;
  tools?: MountTools | undefined;
}

/** A backend of mode `kernel`, and the mount itself for whoever wants to try it first. */
export interface KernelBackend extends NfsBackend {
  /** @throws MountFailed */
  mount(): Promise<void>;
}

/**
 * A share that the kernel mounts, used as a local tree. It is mounted when it is first used, again when the mount is
 * gone or its server has forgotten it, and unmounted when the backend is disposed.
 */
export function createKernelBackend(settings: NfsSettings, options: KernelBackendOptions): KernelBackend {
  const { volumeId, ownerId, mountRoot, timeLimitMs } = options;
  const mount = new KernelMount(settings, join(mountRoot, `nfs-${volumeId}`), timeLimitMs, options.tools);
  const local = createLocalBackend({
    root: mount.mountPoint,
    volumeId,
    ownerId,
    verifyStaged: verifyReadBack,
  });

  const onMount = async <T>(use: () => Promise<T>): Promise<T> => {
    try {
      await mount.ensure();
    } catch (error) {
      throw mountError(error, mount.source);
    }
    try {
      return await use();
    } catch (error) {
      // The file handles of the mount are of a file system that the server does not export any more.
      if (error instanceof Error && errnoOf(error.cause) === 'ESTALE')
        await mount.remount().catch(() => undefined);
      throw error;
    }
  };
  /** For calls that do not stream: a thread may hang in the kernel a little longer, the caller does not. */
  const inTime = <T>(doing: string, use: () => Promise<T>): Promise<T> =>
    onMount(() => withinLimit(use(), timeLimitMs, `${doing} on ${mount.source}`));

  return {
    type: 'nfs',
    capabilities: kernelCapabilities,
    mount: () => mount.ensure(),
    probe: (probe) =>
      probeMount(settings, mount, probe?.signal, () => inTime('The check', () => local.probe(probe))),
    stat: (path, stat) => inTime(`Looking at ${path}`, () => local.stat(path, stat)),
    list: (path, list) => inTime(`Listing ${path}`, () => local.list(path, list)),
    open: (path, open) => inTime(`Opening ${path}`, () => local.open(path, open)),
    write: (path, source, write) => onMount(() => local.write(path, source, write)),
    remove: (path, remove) => onMount(() => local.remove(path, remove)),
    move: (from, to, move) => onMount(() => local.move(from, to, move)),
    copy: (from, to, copy) => onMount(() => local.copy(from, to, copy)),
    makeFolder: (path) => inTime(`Making the folder ${path}`, () => local.makeFolder(path)),
    usage: (usage) => inTime('Asking for the usage', () => local.usage(usage)),
    countChildren: (path) => inTime(`Counting ${path}`, () => local.countChildren(path)),
    sweep: () => onMount(() => local.sweep()),
    [Symbol.asyncDispose]: () => mount[Symbol.asyncDispose](),
  };
}

/** @throws HoldfastError `backend_unavailable` when the time is over */
async function withinLimit<T>(running: Promise<T>, milliseconds: number, doing: string): Promise<T> {
  const { promise: over, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    const text = `${doing} has taken more than ${milliseconds / 1000} s. Check that the NFS server is alive.`;
    reject(new HoldfastError('backend_unavailable', text));
  }, milliseconds);
  try {
    return await Promise.race([running, over]);
  } finally {
    clearTimeout(timer);
    running.catch(() => undefined);
  }
}

async function probeMount(
  { server }: NfsSettings,
  mount: KernelMount,
  signal: AbortSignal | undefined,
  probeLocal: () => Promise<ProbeReport>,
): Promise<ProbeReport> {
  const started = performance.now();
  const checks: ProbeCheck[] = [];
  const attempt = async (name: string, run: () => Promise<ProbeCheck[]>): Promise<void> => {
    if (checks.some((check) => !check.ok)) return;
    try {
      throwIfCancelled(signal, 'The check');
      checks.push(...(await run()));
    } catch (error) {
      const known = mountError(error, mount.source);
      checks.push({ name, ok: false, message: known instanceof Error ? known.message : String(known) });
    }
  };
  await attempt('resolve', async () => {
    const { address } = await lookup(server).catch((error: unknown) => {
      const text = `The name ${server} cannot be looked up. Check config.server and the name server of this machine.`;
      throw new HoldfastError('backend_unavailable', text, { cause: error });
    });
    return [{ name: 'resolve', ok: true, message: `${server} is ${address}.` }];
  });
  await attempt('export', async () => {
    await mount.ensure();
    return [{ name: 'export', ok: true, message: `${mount.source} is mounted at ${mount.mountPoint}.` }];
  });
  await attempt('list', async () => (await probeLocal()).checks);
  return { ok: checks.every((check) => check.ok), checks, latencyMs: performance.now() - started };
}
