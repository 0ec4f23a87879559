import type { Upload } from '@holdfast/catalog/uploads';
import { parseBackendPath } from '@holdfast/bytes/backend-path';
import { HoldfastError, isHoldfastError, type ErrorCode } from '@holdfast/contract/errors';
import type { Library } from '../library/library.ts';
import type { Ending } from './ending.ts';
import type { LiveUploads } from './live-uploads.ts';

/** What stands in the way of a destination will stand there the next time, too. */
const finalCodes: ReadonlySet<ErrorCode> = new Set([
  'already_exists',
  'is_a_directory',
  'not_a_directory',
  'invalid_path',
]);

/** A sealed upload that ends at a path of its backend. */
export type PlacedUpload = Upload & { sha256: string; size: number; destinationPath: string };

/** Brings the sealed bytes of uploads to the backend paths that they name, where any of the steps can be repeated. */
export class Placement {
  readonly #library: Library;
  readonly #lives: LiveUploads;
  readonly #ending: Ending;

  constructor(options: { library: Library; lives: LiveUploads; ending: Ending }) {
    this.#library = options.library;
    this.#lives = options.lives;
    this.#ending = options.ending;
  }

  /**
   * Resolves when the file stands at its path, durable and with its checksum record.
   * @throws HoldfastError `already_exists`, `is_a_directory`, `not_a_directory`, `invalid_path`, `conflict` (the upload has failed
   *   then); `backend_unavailable`, `storage_full`, `cancelled` (it goes on when asked again)
   */
  async place(upload: PlacedUpload, signal: AbortSignal): Promise<void> {
    const { id, backendId, overwrite, sha256, size } = upload;
    const path = parseBackendPath(upload.destinationPath);
    try {
      await this.#lives.use(id, ({ staged }) =>
        this.#library.place(backendId, path, staged, { sha256, size, overwrite, signal }),
      );
    } catch (error) {
      // A crash after the placing has left nothing staged, or a file that is in its own way.
      const isPlaced =
        (isHoldfastError(error, 'file_not_found') || isHoldfastError(error, 'already_exists')) &&
        (await this.#library.confirmPlaced(backendId, path, { sha256, size, signal }));
      if (isPlaced) return;
      const why = finalReason(error);
      if (why === undefined) throw error;
      await this.#ending.fail(upload, why, ['completing']);
      throw why;
    }
  }
}

/** Why an upload cannot be placed, now or later; undefined when it can be tried again. */
function finalReason(error: unknown): HoldfastError | undefined {
  if (!(error instanceof HoldfastError)) return undefined;
  if (finalCodes.has(error.code)) return error;
  if (error.code !== 'file_not_found') return undefined;
  const gone = 'The bytes of this upload are gone from its backend. Begin a new one.';
  return new HoldfastError('conflict', gone, { cause: error });
}
