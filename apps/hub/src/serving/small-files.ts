/** Files up to this size are kept in memory once served, in bytes. */
export const SMALL_FILE_BYTES = 256 * 1024;
/** All of them together may take this much, in bytes. */
const MOST_BYTES = 64 * 1024 * 1024;

/** A small file as it is answered from memory. */
export interface SmallFile {
  backendId: string;
  path: string;
  /** Whether the file on the backend is still the version that is kept. */
  isFresh: () => boolean;
  /**
   * The bytes, one character each (latin1): Node sends a string in the same write as the head, a buffer in a
   * gathered write of two, which takes a tenth longer.
   */
  body: string;
  /** The headers of a whole answer, in Title-Case, ready for `writeHead`; the last value is the request's id. */
  headers: string[];
}

/** The most recently kept small files by the URL they were asked by. */
export class SmallFiles {
  readonly #files = new Map<string, SmallFile>();
  #bytes = 0;

  /** A file that is still fresh; a stale one is forgotten. */
  get(url: string): SmallFile | undefined {
    const file = this.#files.get(url);
    if (file === undefined || file.isFresh()) return file;
    this.#drop(url, file);
    return undefined;
  }

  put(url: string, file: SmallFile): void {
    const former = this.#files.get(url);
    if (former !== undefined) this.#drop(url, former);
    this.#files.set(url, file);
    this.#bytes += file.body.length;
    for (const [oldest, kept] of this.#files) {
      if (this.#bytes <= MOST_BYTES) break;
      this.#drop(oldest, kept);
    }
  }

  #drop(url: string, file: SmallFile): void {
    this.#files.delete(url);
    this.#bytes -= file.body.length;
  }
}
