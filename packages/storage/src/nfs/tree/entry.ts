import { nameOf } from '@holdfast/bytes/backend-path';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import type { StorageEntry } from '../../backend.ts';
import type { NfsAttributes } from '../file-system.ts';

/**
 * What a checksum record is bound to. The change attribute differs after every change of bytes or of the inode, the
 * file id after a replacement; size and mtime are for servers whose change attribute is as coarse as their clock.
 */
function validatorOf({ change, size, fileId, mtimeNs }: NfsAttributes): string {
  return `${change}-${size}-${fileId}-${mtimeNs}`;
}

/** What a path is whose attributes are those of a file or folder. */
export function typeOf({ type }: NfsAttributes): StorageEntry['type'] {
  return type === 'directory' ? 'directory' : 'file';
}

/** The entry of a path from the attributes of what it means. */
export function entryOf(path: BackendPath, attributes: NfsAttributes): StorageEntry {
  const isFolder = attributes.type === 'directory';
  return {
    name: nameOf(path),
    path,
    type: typeOf(attributes),
    size: isFolder ? 0 : attributes.size,
    modifiedAt: new Date(Number(attributes.mtimeNs / 1_000_000n)),
    validator: isFolder ? '' : validatorOf(attributes),
  };
}

/** Whether two nodes are the same file. Handles are not compared, as some servers change them by a rename. */
export function isSameFile(one: NfsAttributes, other: NfsAttributes): boolean {
  return one.fileId === other.fileId && one.fileSystemId === other.fileSystemId;
}
