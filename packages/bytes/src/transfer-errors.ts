import { HoldfastError } from '@holdfast/contract/errors';

/** What is thrown when a source has fewer bytes than were announced to the receiver. */
export function endedEarly(sent: number, announced: number): HoldfastError {
  return new HoldfastError(
    'backend_unavailable',
    `The file ended after ${sent} of ${announced} bytes: it was shortened while it was being sent. Request it again.`,
  );
}

/** What is thrown when a source has more bytes than were announced to the receiver. */
export function tooLong(announced: number): HoldfastError {
  return new HoldfastError(
    'backend_unavailable',
    `The file has more than the announced ${announced} bytes: it grew while it was being sent. Request it again.`,
  );
}

/** Rethrows the failure of a source, as a HoldfastError. */
export function sourceFailure(error: unknown): never {
  if (error instanceof HoldfastError) throw error;
  const reason = error instanceof Error ? error.message : String(error);
  throw new HoldfastError(
    'backend_unavailable',
    `The file could not be read to its end (${reason}). Check the storage and request it again.`,
    { cause: error },
  );
}
