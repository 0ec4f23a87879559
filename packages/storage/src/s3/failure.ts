import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import { errnoOf } from '@holdfast/bytes/file-system-error';
import { HoldfastError } from '@holdfast/contract/errors';

/** Codes of S3 for a request that was damaged on its way: the same request can succeed. */
const damagedCodes = new Set([
  'XAmzContentSHA256Mismatch',
  'BadDigest',
  'InvalidDigest',
  'IncompleteBody',
  'RequestTimeout',
  'SignatureDoesNotMatch',
  'MalformedXML',
  'HTTP 400',
  'HTTP 403',
  'Garbled',
]);
const fullCodes = new Set([
  'QuotaExceeded',
  'XMinioStorageFull',
  'InsufficientStorage',
  'InsufficientCapacity',
  'ServiceQuotaExceededException',
]);

export interface FailureDetails {
  /** Code of S3 (`NoSuchKey`), or errno of a connection (`ECONNREFUSED`). */
  code: string;
  message: string;
  /** Status of the answer; undefined when there was none. */
  status?: number | undefined;
}

/**
 * A request that S3 refused, or that never got an answer. It keeps a few words of the original and nothing else: an
 * error of the client library holds the request's headers, which are no business of a log.
 */
export class S3Failure extends Error {
  override readonly name = 'S3Failure';
  readonly code: string;
  readonly status: number | undefined;

  constructor(details: FailureDetails) {
    super(`${details.code}: ${details.message.slice(0, 300)}`);
    this.code = details.code;
    this.status = details.status;
  }

  /** There is no such object (or upload, or bucket). */
  get isMissing(): boolean {
    return this.status === 404;
  }

  /** A condition of the request did not hold: another version, even one that lacks the range that is asked for. */
  get isPrecondition(): boolean {
    return this.status === 412 || this.status === 416 || this.code === 'ConditionalRequestConflict';
  }

  /** The server does not know something that the request asks for. */
  get isUnsupported(): boolean {
    return this.status === 501 || this.code === 'NotImplemented';
  }

  /** Nobody can say whether the request took effect. */
  get isAmbiguous(): boolean {
    return this.status === undefined || this.status >= 500;
  }

  /** The same request can succeed. */
  get isTransient(): boolean {
    if (this.isUnsupported || this.code === 'CERTIFICATE' || this.code === 'ENOTFOUND') return false;
    if (this.isAmbiguous || this.status === 429) return !fullCodes.has(this.code) && this.status !== 507;
    // A bare 400 or 403 may come of a request that was damaged before it could be told what it was.
    return damagedCodes.has(this.code) || this.code === 'OperationAborted';
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

/** A failure of the client library in our words. */
export function failureOf(error: unknown): S3Failure {
  if (error instanceof S3Failure) return error;
  if (!(error instanceof Error)) return new S3Failure({ code: 'Unknown', message: String(error) });
  const metadata = '$metadata' in error && isRecord(error.$metadata) ? error.$metadata : {};
  const status = typeof metadata['httpStatusCode'] === 'number' ? metadata['httpStatusCode'] : undefined;
  const errno = errnoOf(error);
  // A text that was no XML is told as an error of its own, though its status was a success.
  if (status !== undefined && status < 300) {
    return new S3Failure({ code: 'Garbled', message: 'the answer could not be understood' });
  }
  // An answer to HEAD has no body that tells more than the status.
  const isBare = /^(?:Unknown|UnknownError|NotFound|Forbidden|BadRequest|\d+)$/.test(error.name);
  if (status !== undefined && isBare) {
    return new S3Failure({ code: `HTTP ${status}`, message: 'the server says no more', status });
  }
  if (status !== undefined) return new S3Failure({ code: error.name, message: error.message, status });
  if (errno !== undefined && /CERT|SSL|TLS|EPROTO|SELF_SIGNED|ISSUER/.test(errno)) {
    return new S3Failure({ code: 'CERTIFICATE', message: `${errno}: ${error.message}` });
  }
  return new S3Failure({ code: errno ?? error.name, message: error.message });
}

const broken = 'Check that the server runs and can be reached (config.endpoint), then try again.';

/**
 * A failure of S3 as one of ours, with what to do; a HoldfastError stays what it is.
 * @param doing what was tried on which path, as a gerund: `Writing /isos/a.iso`
 * @param access for writing, a missing permission means "read-only"
 */
export function s3Error(
  error: unknown,
  doing: string,
  access: 'read' | 'write',
  signal?: AbortSignal,
): HoldfastError {
  if (error instanceof HoldfastError) return error;
  // A cancellation ends requests in many ways; what counts is that it was one.
  throwIfCancelled(signal, doing);
  const failure = failureOf(error);
  const unavailable = (advice: string, retryable: boolean): HoldfastError =>
    new HoldfastError('backend_unavailable', `${doing} failed (${failure.code}). ${advice}`, {
      cause: failure,
      retryable,
    });
  const as = (code: 'storage_full' | 'too_large' | 'read_only' | 'conflict', advice: string): HoldfastError =>
    new HoldfastError(code, `${doing} failed (${failure.code}). ${advice}`, { cause: failure });
  if (fullCodes.has(failure.code) || failure.status === 507) {
    return as('storage_full', 'The storage is full or its quota used up. Free some space, then try again.');
  }
  switch (failure.code) {
    case 'NoSuchBucket':
      return unavailable('The bucket does not exist. Look at config.bucket.', false);
    case 'InvalidAccessKeyId':
    case 'InvalidClientTokenId':
      return unavailable('The server does not know the access key. Look at config.access_key_id.', false);
    case 'SignatureDoesNotMatch':
      return unavailable(
        'The server refuses the signature. Look at config.secret_access_key, and at config.access_key_id.',
        false,
      );
    case 'RequestTimeTooSkewed':
      return unavailable('The clocks of this machine and the server differ too much. Set them right.', true);
    case 'PermanentRedirect':
    case 'AuthorizationHeaderMalformed':
    case 'IllegalLocationConstraintException':
      return unavailable('The bucket is in another region. Look at config.region.', false);
    case 'EntityTooLarge':
      return as('too_large', 'The server does not take files as large as this.');
    case 'CERTIFICATE':
      return unavailable('The connection cannot be made safe (TLS). Look at config.endpoint.', false);
    case 'ENOTFOUND':
      return unavailable('The name of the server cannot be found. Look at config.endpoint.', true);
    default:
  }
  if (failure.isPrecondition) return as('conflict', 'Another client was at work there. Try again.');
  if (failure.status === 401)
    return unavailable('The server refuses the keys of config.access_key_id.', false);
  if (failure.status === 403 || failure.status === 405) {
    return access === 'write'
      ? as('read_only', 'The key of config.access_key_id may not write here.')
      : unavailable('The key of config.access_key_id may not read here.', false);
  }
  if (failure.code === 'InvalidPart' || damagedCodes.has(failure.code)) {
    return unavailable('The bytes were damaged on their way. Try again, and check the network.', true);
  }
  if (failure.isAmbiguous || failure.status === 429) return unavailable(broken, true);
  return unavailable(`The server refuses it (${failure.status}). Look at config.endpoint.`, false);
}
