import { isRoot, parentOf } from '@holdfast/bytes/backend-path';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import { HoldfastError, isHoldfastError } from '@holdfast/contract/errors';
import type { StorageBackend, StorageEntry } from '@holdfast/storage/backend';
import type { StagedUpload } from '@holdfast/storage/contents';

export interface PlaceOptions {
  /** Lower-case hex, of the sealed bytes. */
  sha256: string;
  /** Bytes. */
  size: number;
  /** Take the place of a file that is there. */
  overwrite: boolean;
  signal: AbortSignal;
}

/** @throws HoldfastError `already_exists`, `is_a_directory`, `not_a_directory`, and what `StorageBackend.stat` throws for a place that cannot be */
export async function requirePlace(
  storage: StorageBackend,
  path: BackendPath,
  overwrite: boolean,
): Promise<void> {
  const existing = isRoot(path) ? 'directory' : (await statOrNull(storage, path))?.type;
  if (existing === 'directory') {
    throw new HoldfastError('is_a_directory', `${path} is a folder; name the path of the file itself.`);
  }
  if (existing !== undefined && !overwrite) throw taken(path);
  if (existing === undefined) await requireNoFileAbove(storage, path);
}

/** @throws HoldfastError `not_a_directory` */
async function requireNoFileAbove(storage: StorageBackend, path: BackendPath): Promise<void> {
  for (let folder = parentOf(path); !isRoot(folder); folder = parentOf(folder)) {
    const existing = await statOrNull(storage, folder);
    if (existing?.type === 'directory') return;
    if (existing !== null) {
      throw new HoldfastError('not_a_directory', `${folder} is a file, so nothing can be put inside it.`);
    }
  }
}

/**
 * Brings sealed bytes to a path in one atomic step: by giving them the name where the storage can do that, otherwise by a
 * verified write.
 * @throws HoldfastError `already_exists`, and those of `StagedUpload.place` and `StorageBackend.write`
 */
export async function placeStaged(
  storage: StorageBackend,
  path: BackendPath,
  staged: StagedUpload,
  { sha256, size, overwrite, signal }: PlaceOptions,
): Promise<StorageEntry> {
  try {
    const placed = await staged.place?.(path, { sha256, size, overwrite });
    if (placed !== undefined && placed !== null) return placed.entry;
    const written = await storage.write(path, staged.stream({ signal }), {
      expectedSha256: sha256,
      expectedSize: size,
      ifAbsent: !overwrite,
      signal,
    });
    return written.entry;
  } catch (error) {
    throw isHoldfastError(error, 'precondition_failed') ? taken(path, error) : error;
  }
}

/**
 * The file at a path when it has these bytes, otherwise null. It is read only when its size is right.
 * @param digest the SHA-256 of the file as it is now
 */
export async function holdsBytes(
  storage: StorageBackend,
  path: BackendPath,
  { sha256, size }: { sha256: string; size: number },
  digest: (entry: StorageEntry) => Promise<string>,
): Promise<StorageEntry | null> {
  const entry = await statOrNull(storage, path);
  if (entry?.type !== 'file' || entry.size !== size) return null;
  return (await digest(entry)) === sha256 ? entry : null;
}

async function statOrNull(storage: StorageBackend, path: BackendPath): Promise<StorageEntry | null> {
  try {
    return await storage.stat(path);
  } catch (error) {
    if (isHoldfastError(error, 'file_not_found')) return null;
    throw error;
  }
}

function taken(path: BackendPath, cause?: unknown): HoldfastError {
  const text = `${path} exists already. Choose another path, or ask to overwrite it.`;
  return new HoldfastError('already_exists', text, { cause });
}
