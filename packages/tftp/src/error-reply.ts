import { type ErrorCode, HoldfastError, isHoldfastError } from '@holdfast/contract/errors';
import { errorCodes } from './packets.ts';

/** What a client is told: a code of RFC 1350 §5 and a short sentence. */
export interface ErrorReply {
  code: number;
  message: string;
}

/** The one table from the catalogue to TFTP; what is not in it has only a message (code 0). */
const codes: Partial<Record<ErrorCode, number>> = {
  not_found: errorCodes.fileNotFound,
  file_not_found: errorCodes.fileNotFound,
  is_a_directory: errorCodes.fileNotFound,
  not_a_directory: errorCodes.fileNotFound,
  forbidden: errorCodes.accessViolation,
  unauthenticated: errorCodes.accessViolation,
  invalid_path: errorCodes.accessViolation,
  read_only: errorCodes.accessViolation,
  storage_full: errorCodes.diskFull,
  method_not_allowed: errorCodes.illegalOperation,
};

/** The answer for any failure. Only a HoldfastError's sentence is meant for others to read. */
export function errorReply(error: unknown): ErrorReply {
  if (!isHoldfastError(error))
    return { code: errorCodes.undefined, message: 'The server failed. See its log.' };
  return { code: codes[error.code] ?? errorCodes.undefined, message: error.message };
}

/** Any failure as one of the family. */
export function asHoldfastError(error: unknown, detail: string): HoldfastError {
  return isHoldfastError(error) ? error : new HoldfastError('internal', detail, { cause: error });
}
