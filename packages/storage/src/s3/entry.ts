import { nameOf } from '@holdfast/bytes/backend-path';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import type { StorageEntry } from '../backend.ts';

/** What S3 tells of an object, by HEAD as well as in listings. */
export interface ObjectInfo {
  /** Without quotes. */
  etag: string;
  /** Bytes. */
  size: number;
  lastModified: Date;
}

/**
 * HEAD tells times in whole seconds (RFC 9110 §5.6.7), listings of some servers in milliseconds: the coarser one is
 * common to both. That is enough for a validator, as the ETag changes with the bytes by itself.
 */
function wholeSeconds(time: Date): number {
  return Math.floor(time.getTime() / 1000);
}

/** The entry of a file. */
export function fileEntry(path: BackendPath, info: ObjectInfo): StorageEntry {
  const seconds = wholeSeconds(info.lastModified);
  return {
    name: nameOf(path),
    path,
    type: 'file',
    size: info.size,
    modifiedAt: new Date(seconds * 1000),
    validator: `${info.etag}-${info.size}-${seconds}`,
  };
}

/** The entry of a folder. S3 keeps no time for what is only a common beginning of keys: it is always the epoch. */
export function folderEntry(path: BackendPath): StorageEntry {
  return { name: nameOf(path), path, type: 'directory', size: 0, modifiedAt: new Date(0), validator: '' };
}
