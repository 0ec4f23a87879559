import { HoldfastError } from '@holdfast/contract/errors';
import type { ErrorCode } from '@holdfast/contract/errors';

/** The errno name of a system error (`ENOENT`), or undefined for any other value. */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

const unusable = 'The disk or file system does not answer as it should. Check the device and its mount.';
const errnoTable: Record<string, readonly [code: ErrorCode, advice: string]> = {
  ENOSPC: ['storage_full', 'The storage is full. Free some space, then try again.'],
  EDQUOT: ['storage_full', 'The quota is used up. Free some space or raise the quota, then try again.'],
  EFBIG: ['too_large', 'The file system does not take files as large as this.'],
  EROFS: ['read_only', 'The file system is mounted read-only.'],
  EACCES: ['read_only', 'The user that Holdfast runs as may not write there. Check owner and mode.'],
  EPERM: ['read_only', 'The system does not permit it. Check owner, mode and attributes (lsattr).'],
  EIO: ['backend_unavailable', unusable],
  ENXIO: ['backend_unavailable', unusable],
  ENODEV: ['backend_unavailable', unusable],
  ESTALE: ['backend_unavailable', 'The network file system has lost the file handle. Check the mount.'],
  ETIMEDOUT: ['backend_unavailable', 'The network file system does not answer. Check server and mount.'],
  EHOSTDOWN: ['backend_unavailable', 'The network file system does not answer. Check server and mount.'],
  ENOTCONN: ['backend_unavailable', 'The mount has lost its server. Mount it again.'],
  EMFILE: ['backend_unavailable', 'Too many files are open. Raise the limit of open files (ulimit -n).'],
  ENFILE: ['backend_unavailable', 'Too many files are open on this machine.'],
  ENAMETOOLONG: ['invalid_path', 'The name or the path is too long for the file system.'],
  ELOOP: ['invalid_path', 'Its symbolic links go in a circle.'],
  EILSEQ: ['invalid_path', 'The file system does not take this name.'],
  EINVAL: ['invalid_path', 'The file system does not take this name or this operation.'],
  ENOENT: ['file_not_found', 'It does not exist.'],
  ENOTDIR: ['not_a_directory', 'A part of the path is a file, not a folder.'],
  EISDIR: ['is_a_directory', 'There is a folder at this path.'],
  EEXIST: ['already_exists', 'There is already something at this path.'],
  ENOTEMPTY: ['not_empty', 'The folder is not empty.'],
  EBUSY: ['conflict', 'It is in use, or another file system is mounted there.'],
  EXDEV: ['not_supported', 'The two places are on different file systems.'],
};

/**
 * A system error as one of ours; a HoldfastError stays what it is.
 * @param doing what was tried on which path, as a gerund: `Writing /isos/a.iso`
 * @param access for reading, a missing permission is not "read-only"
 */
export function fileSystemError(
  error: unknown,
  doing: string,
  access: 'read' | 'write' = 'write',
): HoldfastError {
  if (error instanceof HoldfastError) return error;
  const errno = errnoOf(error);
  if (access === 'read' && (errno === 'EACCES' || errno === 'EPERM')) {
    const advice = 'The user that Holdfast runs as may not read it. Check owner and mode.';
    const text = `${doing} failed (${errno}). ${advice}`;
    return new HoldfastError('backend_unavailable', text, { cause: error, retryable: false });
  }
  const known = errno === undefined ? undefined : errnoTable[errno];
  if (known === undefined) {
    const reason = error instanceof Error ? error.message : String(error);
    return new HoldfastError('internal', `${doing} failed: ${reason}`, { cause: error });
  }
  return new HoldfastError(known[0], `${doing} failed (${errno}). ${known[1]}`, { cause: error });
}
