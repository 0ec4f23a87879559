import { HoldfastError, isErrorCode } from '@holdfast/contract/errors';
import { z } from 'zod';

/** An error as it goes from one process to another. */
export const wireError = z.object({
  code: z.string().refine(isErrorCode, 'is no code of the catalogue'),
  message: z.string(),
  retryable: z.boolean(),
  errors: z.array(z.object({ field: z.string(), message: z.string() })).optional(),
});
export type WireError = z.output<typeof wireError>;

/** An unexpected error becomes `internal`, with its own message. */
export function toWireError(error: unknown): WireError {
  if (!(error instanceof HoldfastError)) {
    return {
      code: 'internal',
      message: error instanceof Error ? error.message : String(error),
      retryable: false,
    };
  }
  const { code, message, retryable, errors } = error;
  return errors === undefined ? { code, message, retryable } : { code, message, retryable, errors };
}

export function fromWireError({ code, message, retryable, errors }: WireError): HoldfastError {
  return new HoldfastError(code, message, errors === undefined ? { retryable } : { retryable, errors });
}
