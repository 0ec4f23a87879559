import type { BackendPath } from '@holdfast/bytes/backend-path';

/** Files up to this size are kept in memory once served, in bytes. */
export const SMALL_FILE_BYTES = 256 * 1024;
/** All of them together may take this much, in bytes. */
const MOST_BYTES = 64 * 1024 * 1024;

/** A small file as it is answered from memory, bound to the version it was read from. */
export interface SmallFile {
  path: BackendPath;
  validator: string;
  sha256: string;
  modifiedAt: Date;
  body: Buffer;
  /** The headers of a whole answer, in Title-Case, ready for `writeHead`. */
  headers: readonly string[];
}

/**
 * The most recently served small files. An entry is only as good as its validator: whoever takes one compares
 * that with the file's present one first.
 */
export class SmallFiles {
  readonly #files = new Map<string, SmallFile>();
  #bytes = 0;

  get(key: string): SmallFile | undefined {
    return this.#files.get(key);
  }

  put(key: string, file: SmallFile): void {
    this.drop(key);
    this.#files.set(key, file);
    this.#bytes += file.body.byteLength;
    for (const [oldest, { body }] of this.#files) {
      if (this.#bytes <= MOST_BYTES) break;
      this.#files.delete(oldest);
      this.#bytes -= body.byteLength;
    }
  }

  drop(key: string): void {
    const file = this.#files.get(key);
    if (file === undefined) return;
    this.#files.delete(key);
    this.#bytes -= file.body.byteLength;
  }
}
