import type { BackendPath } from '@holdfast/bytes/backend-path';
import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import { fileSystemError } from '@holdfast/bytes/file-system-error';
import { statfs } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Capabilities, StorageBackend, Usage } from './backend.ts';
import { localContents } from './local/contents/content-area.ts';
import { entryOf } from './local/entry.ts';
import { countFolder, listFolder } from './local/listing.ts';
import { makeFolder } from './local/making-folders.ts';
import { moveEntry } from './local/moving.ts';
import { probeVolume } from './local/probing.ts';
import { openFile, freshnessOf, statPath } from './local/reading.ts';
import { removeEntry } from './local/removing.ts';
import { sweepStaging } from './local/sweeping.ts';
import { Volume } from './local/volume.ts';
import type { VerifyStaged } from './local/volume.ts';
import { copyFile, writeFile } from './local/writing.ts';

export { prepareLocalRoot } from './local/prepare-root.ts';

export interface LocalBackendOptions {
  /** Absolute path of a folder that `prepareLocalRoot` has prepared. */
  root: string;
  /** The id in the marker file of the volume that belongs here. */
  volumeId: string;
  /** Marks what this hub stages, so that a sweep tells its own from others'. */
  ownerId: string;
  /** Looks at a staged file before it is published; throwing refuses the write. For trees that are not on this machine. */
  verifyStaged?: VerifyStaged;
}

/** A backend as it is for a local tree: every optional operation is there. */
export type LocalBackend = Required<StorageBackend>;

const capabilities: Capabilities = {
  writable: true,
  move: true,
  copy: true,
  folders: true,
  usage: true,
  positionalRead: true,
};

async function usageOf(volume: Volume, signal: AbortSignal | undefined): Promise<Usage> {
  throwIfCancelled(signal, 'Asking for the usage');
  await using root = await volume.enter();
  try {
    const { bsize, blocks, bfree } = await statfs(root.path);
    return { usedBytes: (blocks - bfree) * bsize, totalBytes: blocks * bsize };
  } catch (error) {
    throw fileSystemError(error, `Asking for the usage of ${volume.root}`, 'read');
  }
}

/**
 * A folder of this machine as a backend. Nothing is opened before it is used, and no descriptor is kept between
 * operations (of an upload for a moment), so that the volume can be unmounted while nobody works on it.
 */
export function createLocalBackend(options: LocalBackendOptions): LocalBackend {
  const volume = new Volume(resolve(options.root), options.volumeId, options.ownerId, options.verifyStaged);
  const contents = localContents(volume);
  return {
    type: 'local',
    capabilities,
    probe: (probe) => probeVolume(volume, probe?.signal),
    stat: async (path, stat) => {
      throwIfCancelled(stat?.signal, `Looking at ${path}`);
      return entryOf(path, await statPath(volume, path));
    },
    freshness: (entry) => freshnessOf(volume, entry),
    list: (path, list) => listFolder(volume, path, list ?? {}),
    open: async (path, open) => {
      throwIfCancelled(open?.signal, `Opening ${path}`);
      return openFile(volume, path);
    },
    write: (path, source, write) => writeFile(volume, path, source, write ?? {}),
    remove: (path, remove) => removeEntry(volume, path, remove ?? {}),
    move: (from: BackendPath, to: BackendPath, move) => moveEntry(volume, from, to, move ?? {}),
    copy: (from: BackendPath, to: BackendPath, copy) => copyFile(volume, from, to, copy ?? {}),
    makeFolder: (path) => makeFolder(volume, path),
    usage: (usage) => usageOf(volume, usage?.signal),
    countChildren: (path) => countFolder(volume, path),
    contents,
    sweep: () => sweepStaging(volume),
    [Symbol.asyncDispose]: () => contents[Symbol.asyncDispose](),
  };
}
