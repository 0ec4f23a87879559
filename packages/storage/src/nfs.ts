import { parseNfsConfig, refuseConfig } from './nfs/config.ts';
import type { NfsConfig } from './nfs/config.ts';
import { connectorOf, createDirectBackend } from './nfs/direct.ts';
import type { NfsBackend } from './nfs/direct.ts';
import { chooseClient } from './nfs/kernel/choosing.ts';
import { withFallback } from './nfs/kernel/falling-back.ts';
import { createKernelBackend } from './nfs/kernel/kernel-backend.ts';
import { lookAtKernel } from './nfs/kernel/kernel-support.ts';
import { isUnsupported } from './nfs/kernel/mount-problem.ts';
import { prepareByKernel } from './nfs/kernel/preparing.ts';
import { prepareShare } from './nfs/tree/preparing.ts';

/** Without a sign of life from the server for this long, a call is given up. */
const DEFAULT_TIME_LIMIT_MS = 30_000;

interface Circumstances {
  /** A folder under the hub's data directory for mount points. Without it shares are not mounted. */
  mountRoot?: string | undefined;
  /** Milliseconds without a sign of life after which a call is given up. Default 30,000. */
  timeLimitMs?: number | undefined;
}

export interface NfsBackendOptions extends NfsConfig, Circumstances {
  /** The id in the marker file of the volume that belongs here. */
  volumeId: string;
  /** Marks what this hub stages, so that a sweep tells its own from others'. */
  ownerId: string;
}

/**
 * Checks a new configuration against the server and marks the share: adopts the marker that is there, or writes one.
 *
 * @returns the id of the volume, to be kept with the backend
 * @throws HoldfastError `validation_failed` with the field of the configuration; `backend_unavailable` when the server
 *   cannot be reached; `storage_full`, `cancelled`
 */
export async function prepareNfs(
  config: NfsConfig,
  options: Circumstances & { signal?: AbortSignal } = {},
): Promise<{ volumeId: string }> {
  const settings = parseNfsConfig(config);
  const { mountRoot, signal, timeLimitMs = DEFAULT_TIME_LIMIT_MS } = options;
  const choice = chooseClient(settings, mountRoot, lookAtKernel());
  if (choice.client === 'kernel') {
    if (choice.obstacle !== undefined)
      refuseConfig('mode', `${choice.obstacle.replace(/\.$/, '')}; use direct or auto`);
    try {
      return await prepareByKernel(settings, { mountRoot: choice.mountRoot, timeLimitMs, signal });
    } catch (error) {
      if (!isUnsupported(error)) throw error;
      if (!choice.mayFallBack) refuseConfig('mode', error.errors?.[0]?.message ?? error.message, error);
    }
  }
  await using connector = connectorOf(settings, { ownerId: 'prepare', timeLimitMs });
  return await prepareShare(connector, signal);
}

/**
 * A share of an NFS server as a backend, by the kernel's client or by our own. It connects (or mounts) when it is
 * first used, comes back by itself after the server was away, and holds nothing that keeps the process alive.
 *
 * @throws HoldfastError `validation_failed` for a configuration that `prepareNfs` would have refused
 */
export function createNfsBackend(options: NfsBackendOptions): NfsBackend {
  const settings = parseNfsConfig(options);
  const { volumeId, ownerId, mountRoot, timeLimitMs = DEFAULT_TIME_LIMIT_MS } = options;
  const createDirect = (): NfsBackend => createDirectBackend(settings, { volumeId, ownerId, timeLimitMs });
  const choice = chooseClient(settings, mountRoot, lookAtKernel());
  if (choice.client === 'direct') return createDirect();
  const kernel = createKernelBackend(settings, {
    volumeId,
    ownerId,
    mountRoot: choice.mountRoot,
    timeLimitMs,
  });
  return choice.mayFallBack ? withFallback(kernel, createDirect) : kernel;
}
