import { isHoldfastError } from '@holdfast/contract/errors';
import { refuseConfig } from '../config.ts';
import type { NfsConfig, NfsSettings } from '../config.ts';
import { isUnsupported } from './mount-problem.ts';
import { ShareHolder } from './share-holder.ts';
import type { ShareHolderOptions } from './share-holder.ts';

/**
 * Mounts a share for as long as it takes to check and mark it.
 * @throws HoldfastError `validation_failed` with the field of the configuration; what `isUnsupported` tells, for another
 *   client to be tried; `backend_unavailable`, `storage_full`, `cancelled`
 */
export async function prepareByKernel(
  settings: NfsSettings,
  options: ShareHolderOptions & { signal?: AbortSignal | undefined },
): Promise<{ volumeId: string }> {
  const { signal } = options;
  await using holder = new ShareHolder(settings, options);
  try {
    const caller = await holder.caller(signal);
    return await caller.call('prepare', {}, { signal, label: 'Marking the volume' });
  } catch (error) {
    if (isUnsupported(error) || !isHoldfastError(error)) throw error;
    const [problem] = error.errors ?? [];
    if (problem === undefined) throw error;
    // Of a mount that failed, or of the local folder that a mount is.
    return refuseConfig(fieldOf(problem.field), problem.message, error);
  }
}

const fields: Record<string, keyof NfsConfig> = {
  'config.server': 'server',
  'config.mount_options': 'mount_options',
};

function fieldOf(name: string): keyof NfsConfig {
  return fields[name] ?? 'export_path';
}
