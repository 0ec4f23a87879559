import { nameOf } from '@holdfast/bytes/backend-path';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import type { StorageEntry } from '../backend.ts';

/** What a server tells about a file or folder, by the headers of a reply or the properties of WebDAV. */
export interface Traits {
  isFolder: boolean;
  /** Bytes of a file, when they are known. */
  size: number | undefined;
  /** Milliseconds since 1970, whole seconds; undefined when the server does not say. */
  modifiedMs: number | undefined;
  etag: string | undefined;
}

/**
 * What a checksum record is bound to: Last-Modified, size and ETag. The mark of a weak ETag is left out, because Apache
 * calls its ETags weak for the first second only (server/util_etag.c). nginx's ETag is `"<mtime>-<size>"` in hex
 * (ngx_http_set_etag) and says nothing new, so it is left out too: WebDAV and JSON listings, which lack it, then give
 * the same validator. Such a validator is coarse: two versions of one size within a second have the same one, so that
 * writes give their files times apart (`RecentVersions`). Versions that others put there so fast cannot be told apart.
 * Undefined when the server tells neither a time nor an ETag.
 */
export function validatorOf({ size, modifiedMs, etag }: Traits): string | undefined {
  const seconds = modifiedMs === undefined ? undefined : modifiedMs / 1000;
  const plain = etag?.replace(/^W\//, '');
  const isDerived =
    seconds !== undefined && size !== undefined && plain === `"${seconds.toString(16)}-${size.toString(16)}"`;
  const tag = plain === undefined || isDerived ? '' : `-${plain}`;
  if (seconds === undefined && tag === '') return undefined;
  return `${seconds ?? ''}-${size ?? ''}${tag}`;
}

/** Whether two versions of a file within one second may have this validator: it rests on a time of whole seconds. */
export function isCoarse(validator: string): boolean {
  return /^\d+-\d+$/.test(validator);
}

export function folderEntry(path: BackendPath, modifiedMs: number | undefined): StorageEntry {
  return {
    name: nameOf(path),
    path,
    type: 'directory',
    size: 0,
    modifiedAt: new Date(modifiedMs ?? 0),
    validator: '',
  };
}

export function fileEntry(
  path: BackendPath,
  file: { size: number; modifiedMs: number | undefined; validator: string },
): StorageEntry {
  const { size, modifiedMs, validator } = file;
  return { name: nameOf(path), path, type: 'file', size, modifiedAt: new Date(modifiedMs ?? 0), validator };
}
