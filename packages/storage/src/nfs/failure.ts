import { HoldfastError } from '@holdfast/contract/errors';
import type { ErrorCode } from '@holdfast/contract/errors';
import { RpcRefused } from './rpc/link.ts';
import { nfsStatus, statusName } from './status.ts';
import { GarbledReply } from './xdr/garbled.ts';

/** An operation that the server answered with another status than OK. */
export class NfsFailure extends Error {
  override readonly name = 'NfsFailure';
  readonly status: number;
  readonly operation: string;
  /** It was sent more than once, so that the first time may have done what the second one then failed at. */
  readonly wasResent: boolean;

  constructor(status: number, operation: string, wasResent: boolean) {
    super(`${operation} was answered with ${statusName(status)}`);
    this.status = status;
    this.operation = operation;
    this.wasResent = wasResent;
  }
}

/** Whether an error is a failure with one of these statuses. */
export function isFailure(error: unknown, ...statuses: number[]): error is NfsFailure {
  return error instanceof NfsFailure && statuses.includes(error.status);
}

/** For `catch`: turns a failure with one of these statuses into undefined. */
export function ignoreStatus(...statuses: number[]): (error: unknown) => undefined {
  return (error) => {
    if (isFailure(error, ...statuses)) return undefined;
    throw error;
  };
}

const permission =
  'The server does not permit it to the user that Holdfast calls as. Check owner and mode on the server, and the ' +
  "export's squash and client list.";

const statusTable = new Map<number, readonly [code: ErrorCode, advice: string]>([
  [nfsStatus.PERM, ['read_only', permission]],
  [nfsStatus.ACCESS, ['read_only', permission]],
  [nfsStatus.ROFS, ['read_only', 'The share is exported or mounted read-only on the server.']],
  [nfsStatus.NOSPC, ['storage_full', 'The share is full. Free some space, then try again.']],
  [
    nfsStatus.DQUOT,
    ['storage_full', 'The quota is used up. Free some space or raise the quota, then try again.'],
  ],
  [nfsStatus.FBIG, ['too_large', 'The server does not take files as large as this.']],
  [nfsStatus.NOENT, ['file_not_found', 'It does not exist.']],
  [nfsStatus.NOTDIR, ['not_a_directory', 'A part of the path is a file, not a folder.']],
  [nfsStatus.ISDIR, ['is_a_directory', 'There is a folder at this path.']],
  [nfsStatus.EXIST, ['already_exists', 'There is already something at this path.']],
  [nfsStatus.NOTEMPTY, ['not_empty', 'The folder is not empty.']],
  [nfsStatus.XDEV, ['not_supported', 'The two places are on different file systems of the server.']],
  [nfsStatus.NAMETOOLONG, ['invalid_path', 'The name or the path is too long for the server.']],
  [nfsStatus.INVAL, ['invalid_path', 'The server does not take this name or this operation.']],
  [nfsStatus.BADCHAR, ['invalid_path', 'The server does not take this name.']],
  [nfsStatus.BADNAME, ['invalid_path', 'The server does not take this name.']],
  [nfsStatus.MLINK, ['conflict', 'The file has as many names as the server allows.']],
  [nfsStatus.FILE_OPEN, ['conflict', 'It is in use on the server.']],
  [nfsStatus.SHARE_DENIED, ['conflict', 'Another client holds it so that nobody else may open it.']],
  [nfsStatus.STALE, ['conflict', 'It was removed or replaced on the server in the meantime. Try again.']],
  [nfsStatus.FHEXPIRED, ['conflict', 'It was removed or replaced on the server in the meantime. Try again.']],
]);

/**
 * A failure as one of our errors; a HoldfastError stays what it is.
 * @param doing what was tried on which path, as a gerund: `Writing /isos/a.iso`
 * @param access for reading, a missing permission is not "read-only"
 */
export function nfsError(error: unknown, doing: string, access: 'read' | 'write' = 'write'): HoldfastError {
  if (error instanceof HoldfastError) return error;
  if (error instanceof RpcRefused) return refused(error, doing);
  if (error instanceof GarbledReply) {
    const text = `${doing} failed: what the NFS server answers makes no sense. Check the network for damaged packets.`;
    return new HoldfastError('backend_unavailable', text, { cause: error });
  }
  if (!(error instanceof NfsFailure)) {
    const reason = error instanceof Error ? error.message : String(error);
    return new HoldfastError('internal', `${doing} failed: ${reason}`, { cause: error });
  }
  const name = statusName(error.status);
  const isForbidden = error.status === nfsStatus.PERM || error.status === nfsStatus.ACCESS;
  if (isForbidden && access === 'read') {
    const text = `${doing} failed (${name}). ${permission}`;
    return new HoldfastError('backend_unavailable', text, { cause: error, retryable: false });
  }
  const known = statusTable.get(error.status);
  if (known === undefined) {
    const text = `${doing} failed: the NFS server answered ${error.operation} with ${name}. Look into its log.`;
    return new HoldfastError('backend_unavailable', text, { cause: error });
  }
  const [code, advice] = known;
  return new HoldfastError(code, `${doing} failed (${name}). ${advice}`, {
    cause: error,
    ...(code === 'conflict' ? { retryable: true } : {}),
  });
}

function refused(error: RpcRefused, doing: string): HoldfastError {
  const why =
    error.reply.kind === 'denied'
      ? 'the server does not take AUTH_SYS. Export the share with sec=sys, to this machine'
      : 'what listens there is no NFS server of version 3 or 4.1. Check config.server and config.port';
  return new HoldfastError('backend_unavailable', `${doing} failed: ${why}.`, {
    cause: error,
    retryable: false,
  });
}
