import type { Capabilities, StorageBackend } from './backend.ts';
import { connectionSettings } from './iscsi/config.ts';
import type { IscsiConfig, IscsiSurroundings } from './iscsi/config.ts';
import { fileOperations } from './iscsi/file-operations.ts';
import { stackOptions } from './iscsi/prepare.ts';
import { probeIscsi } from './iscsi/probing.ts';
import { shareStack } from './iscsi/stack/shared-stacks.ts';
import type { StackShare } from './iscsi/stack/shared-stacks.ts';

export { prepareIscsi } from './iscsi/prepare.ts';
export { clearIscsiReservation, discoverIscsiTargets } from './iscsi/reservation.ts';
export { writeLunImage } from './iscsi/lun-image.ts';
export type { IscsiConfig, IscsiSurroundings } from './iscsi/config.ts';

export interface IscsiBackendOptions extends IscsiConfig, IscsiSurroundings {
  /** The id in the marker file of the volume that belongs here. */
  volumeId: string;
}

/** A backend as it is for a LUN: all that a local one has, but for `freshness`, which may not wait. */
export type IscsiBackend = Required<Omit<StorageBackend, 'freshness'>>;

const capabilities: Capabilities = {
  writable: true,
  move: true,
  copy: true,
  folders: true,
  usage: true,
  positionalRead: true,
};

/**
 * The file system of a LUN as a backend. The LUN is mounted at the first operation, by a process of its own in a mount
 * namespace of its own, and stays reserved for this hub until the backend is disposed. After a failure it is mounted
 * anew by the next operation.
 *
 * @throws HoldfastError `validation_failed` when the configuration itself is wrong
 */
export function createIscsiBackend(options: IscsiBackendOptions): IscsiBackend {
  const { volumeId, ownerId, stallMs } = options;
  const settings = connectionSettings(options, options);
  let share: Promise<StackShare> | undefined;
  const takeShare = async (): Promise<StackShare> => {
    const stack = await stackOptions(options, settings, options);
    return shareStack(`${ownerId} ${stack.name}`, stack);
  };
  const files = fileOperations(
    async (signal) => {
      share ??= takeShare().catch((error: unknown) => {
        share = undefined;
        throw error;
      });
      return (await share).stack.caller({ signal });
    },
    { volumeId, ownerId },
  );
  return {
    ...files,
    type: 'iscsi',
    capabilities,
    probe: (probe = {}) =>
      probeIscsi({ settings, ownerId, stallMs, signal: probe.signal }, () => files.probe(probe)),
    [Symbol.asyncDispose]: async () => {
      const taken = await share?.catch(() => undefined);
      await taken?.[Symbol.asyncDispose]();
    },
  };
}
