import type { Upload, UploadStatus } from '@holdfast/catalog/uploads';
import { HoldfastError, isErrorCode } from '@holdfast/contract/errors';

/** The states in which bytes may come. */
export const openStatuses: readonly UploadStatus[] = ['initiated', 'uploading'];

/** Whether bytes may come. */
export function isOpen({ status }: Pick<Upload, 'status'>): boolean {
  return openStatuses.includes(status);
}

/** Why an upload that is not open takes neither bytes nor any other change. */
export function closedError(upload: Upload): HoldfastError {
  const { status } = upload;
  switch (status) {
    case 'expired':
      return expiredError(upload);
    case 'failed':
      return failureOf(upload);
    case 'completing':
      return new HoldfastError('conflict', 'This upload is being completed; it takes no more bytes.');
    case 'completed':
      return new HoldfastError('conflict', 'This upload is completed; it takes no more bytes.');
    case 'aborted':
      return new HoldfastError('conflict', 'This upload was given up. Begin a new one.');
    case 'initiated':
    case 'uploading':
      return new HoldfastError('conflict', 'This upload was changed by another request. Ask for its status.');
    default:
      return status satisfies never;
  }
}

/** Why an upload failed, as it was told the first time. */
export function failureOf({ errorCode, errorDetail }: Upload): HoldfastError {
  const code = errorCode !== null && isErrorCode(errorCode) ? errorCode : 'conflict';
  return new HoldfastError(code, errorDetail ?? 'This upload has failed. Begin a new one.', {
    retryable: false,
  });
}

export function expiredError({ expiresAt }: Pick<Upload, 'expiresAt'>): HoldfastError {
  return new HoldfastError(
    'upload_expired',
    `Nothing came for this upload until ${expiresAt.toISOString()}, so it has expired and its bytes were removed. Begin a new one.`,
  );
}

export function notFoundError(id: string): HoldfastError {
  return new HoldfastError('upload_not_found', `There is no upload with the id ${id}.`);
}

/** A request that names a field wrongly. */
export function refusedField(
  code: 'invalid_request' | 'validation_failed' | 'conflict' | 'too_large' | 'quota_exceeded',
  field: string,
  message: string,
): HoldfastError {
  return new HoldfastError(code, `${field} ${message}.`, { errors: [{ field, message }] });
}
