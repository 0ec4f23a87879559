/**
 * The one catalogue of errors: a stable code, the HTTP status it answers with, and a short title.
 * Every rim (HTTP, and later TFTP and the command) maps from here; `detail` is written where it happens.
 */
export const errorCatalogue = {
  invalid_request: { status: 400, title: 'The request is malformed' },
  unauthenticated: { status: 401, title: 'A credential is needed' },
  forbidden: { status: 403, title: 'The credential does not allow this' },
  not_found: { status: 404, title: 'Not found' },
  backend_not_found: { status: 404, title: 'No such backend' },
  file_not_found: { status: 404, title: 'No such file' },
  node_not_found: { status: 404, title: 'No such node' },
  workflow_not_found: { status: 404, title: 'No such workflow' },
  key_not_found: { status: 404, title: 'No such API key' },
  transfer_not_found: { status: 404, title: 'No such transfer' },
  operation_not_found: { status: 404, title: 'No such operation' },
  upload_not_found: { status: 404, title: 'No such upload' },
  content_not_found: { status: 404, title: 'No such content' },
  host_file_not_found: { status: 404, title: 'No such host file' },
  method_not_allowed: { status: 405, title: 'Method not allowed' },
  conflict: { status: 409, title: 'Conflict' },
  name_taken: { status: 409, title: 'The name is taken' },
  backend_in_use: { status: 409, title: 'The backend is in use' },
  already_exists: { status: 409, title: 'Already exists' },
  not_empty: { status: 409, title: 'The folder is not empty' },
  not_a_directory: { status: 409, title: 'Not a folder' },
  is_a_directory: { status: 409, title: 'Is a folder' },
  wrong_volume: { status: 409, title: 'Another volume is mounted here' },
  read_only: { status: 409, title: 'The backend is read-only' },
  chunk_conflict: { status: 409, title: 'Other bytes were received for this chunk' },
  chunks_missing: { status: 409, title: 'Chunks are missing' },
  offset_mismatch: { status: 409, title: 'The upload goes on at another offset' },
  superseded: { status: 409, title: 'Another connection has taken this over' },
  upload_expired: { status: 410, title: 'It has expired' },
  length_required: { status: 411, title: 'Content-Length is required' },
  precondition_failed: { status: 412, title: 'Precondition failed' },
  unsupported_protocol_version: { status: 412, title: 'This version of the protocol is not spoken here' },
  quota_exceeded: { status: 413, title: 'The quota of the API key is used up' },
  too_large: { status: 413, title: 'Too large' },
  unsupported_media_type: { status: 415, title: 'Unsupported media type' },
  range_not_satisfiable: { status: 416, title: 'Range not satisfiable' },
  validation_failed: { status: 422, title: 'The request was understood but refused' },
  invalid_path: { status: 422, title: 'The path is not allowed' },
  checksum_mismatch: { status: 422, title: 'The checksum does not match' },
  not_supported: { status: 422, title: 'The backend cannot do this' },
  incomplete_body: { status: 400, title: 'The body ended early' },
  too_many_requests: { status: 429, title: 'Too many requests' },
  upload_checksum_mismatch: { status: 460, title: 'The checksum of the sent bytes does not match' },
  cancelled: { status: 499, title: 'Cancelled by the caller' },
  internal: { status: 500, title: 'Internal error' },
  backend_unavailable: { status: 503, title: 'The backend is not usable' },
  no_boot_backend: { status: 503, title: 'No boot backend is set' },
  busy: { status: 503, title: 'Too many transfers are under way' },
  unreachable: { status: 503, title: 'The hub cannot be reached' },
  shutting_down: { status: 503, title: 'The hub is shutting down' },
  storage_full: { status: 507, title: 'The storage is full' },
} as const satisfies Record<string, { status: number; title: string }>;

export type ErrorCode = keyof typeof errorCatalogue;

/** True for a code of the catalogue. */
export function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(errorCatalogue, code);
}

/** One field of a request that was refused, and why. */
export interface FieldProblem {
  field: string;
  message: string;
}

export interface HoldfastErrorOptions {
  /** Whether the same call can succeed later without a change. Default: true for 429, 503 and 507. */
  retryable?: boolean;
  cause?: unknown;
  /** Fields of the request that were refused. */
  errors?: FieldProblem[];
}

const retryableStatuses = new Set([429, 503, 507]);

/** The one family of errors: a catalogue code and a sentence a person can act on. */
export class HoldfastError extends Error {
  override readonly name = 'HoldfastError';
  readonly code: ErrorCode;
  readonly status: number;
  readonly retryable: boolean;
  readonly errors: FieldProblem[] | undefined;

  constructor(code: ErrorCode, detail: string, options: HoldfastErrorOptions = {}) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.status = errorCatalogue[code].status;
    this.retryable = options.retryable ?? retryableStatuses.has(this.status);
    this.errors = options.errors;
  }
}

/** True for a HoldfastError, of the given code when one is given. */
export function isHoldfastError(error: unknown, code?: ErrorCode): error is HoldfastError {
  return error instanceof HoldfastError && (code === undefined || error.code === code);
}
