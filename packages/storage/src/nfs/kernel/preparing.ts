import { isHoldfastError } from '@holdfast/contract/errors';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { prepareLocalRoot } from '../../local.ts';
import { refuseConfig } from '../config.ts';
import type { NfsSettings } from '../config.ts';
import { KernelMount } from './kernel-mount.ts';
import type { MountTools } from './kernel-mount.ts';
import { mountError, MountFailed } from './mount-problem.ts';

/**
 * Mounts a share for as long as it takes to check and mark it.
 * @throws MountFailed of kind `unsupported`, for another client to be tried; HoldfastError `validation_failed`,
 *   `backend_unavailable`, `storage_full`
 */
export async function prepareByKernel(
  settings: NfsSettings,
  options: { mountRoot: string; timeLimitMs: number; tools?: MountTools | undefined },
): Promise<{ volumeId: string }> {
  const mountPoint = join(options.mountRoot, `prepare-${randomUUID()}`);
  await using mount = new KernelMount(settings, mountPoint, options.timeLimitMs, options.tools);
  try {
    await mount.ensure();
  } catch (error) {
    if (error instanceof MountFailed && error.problem.kind === 'config') {
      refuseConfig(error.problem.field, error.problem.message, error);
    }
    if (error instanceof MountFailed && error.problem.kind === 'unsupported') throw error;
    throw mountError(error, mount.source);
  }
  try {
    return await prepareLocalRoot({ root: mountPoint });
  } catch (error) {
    if (!isHoldfastError(error, 'validation_failed')) throw error;
    return refuseConfig('export_path', error.errors?.[0]?.message ?? error.message.replace(/\.$/, ''), error);
  }
}
