import { nameOf } from '@holdfast/bytes/backend-path';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import type { BigIntStats } from 'node:fs';
import type { StorageEntry } from '../backend.ts';

/**
 * What a checksum record is bound to. mtime and size alone are not enough: tools that keep times (`cp -p`, `rsync -t`,
 * `touch -r`) put other bytes of the same length under the same mtime. ctime is set by the kernel at every change of
 * bytes or inode and cannot be set back, and the inode differs when the path was replaced. The price is a digest that
 * is computed again after a mere `chmod`, which is right, only slower. Before Linux 6.13 (multigrain timestamps) times
 * have the grain of a tick: bytes changed in place twice within 10 ms, at the same size, may keep their validator.
 */
export function validatorOf(stats: BigIntStats): string {
  return `${stats.mtimeNs}-${stats.size}-${stats.ino}-${stats.ctimeNs}`;
}

/** What a path is whose stats are those of a file or folder. */
export function typeOf(stats: BigIntStats): StorageEntry['type'] {
  return stats.isDirectory() ? 'directory' : 'file';
}

/** The entry of a path from the stats of what it means. */
export function entryOf(path: BackendPath, stats: BigIntStats): StorageEntry {
  const isFolder = stats.isDirectory();
  return {
    name: nameOf(path),
    path,
    type: typeOf(stats),
    size: isFolder ? 0 : Number(stats.size),
    modifiedAt: new Date(Number(stats.mtimeNs / 1_000_000n)),
    validator: isFolder ? '' : validatorOf(stats),
  };
}
