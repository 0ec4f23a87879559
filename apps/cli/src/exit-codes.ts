import { errorCatalogue, isHoldfastError } from '@holdfast/contract/errors';
import type { ErrorCode } from '@holdfast/contract/errors';

/** How the command ends, for scripts. */
export const exitCodes = {
  done: 0,
  failure: 1,
  usage: 2,
  notFound: 3,
  refused: 4,
  integrity: 5,
  unreachable: 6,
  interrupted: 130,
} as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** The command line makes no sense, or lacks something that only a person can say. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

const byStatus: Readonly<Record<number, ExitCode>> = {
  401: exitCodes.refused,
  403: exitCodes.refused,
  404: exitCodes.notFound,
  409: exitCodes.refused,
  410: exitCodes.notFound,
  412: exitCodes.refused,
  413: exitCodes.refused,
  422: exitCodes.refused,
  429: exitCodes.unreachable,
  460: exitCodes.integrity,
  499: exitCodes.interrupted,
  503: exitCodes.unreachable,
  507: exitCodes.refused,
};

/** Codes that end otherwise than their status says. */
const byCode: Partial<Record<ErrorCode, ExitCode>> = {
  checksum_mismatch: exitCodes.integrity,
  // A network that cuts a body short is no fault of what was asked.
  incomplete_body: exitCodes.unreachable,
};

/** The exit code for an error of the catalogue. */
export function exitCodeOfError(code: ErrorCode): ExitCode {
  return byCode[code] ?? byStatus[errorCatalogue[code].status] ?? exitCodes.failure;
}

/** The exit code for anything that was thrown. */
export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof UsageError) return exitCodes.usage;
  return isHoldfastError(error) ? exitCodeOfError(error.code) : exitCodes.failure;
}
