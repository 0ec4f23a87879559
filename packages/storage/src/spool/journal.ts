import { CoalescedSync } from '@holdfast/bytes/coalesced-sync';
import { fileSystemError } from '@holdfast/bytes/file-system-error';
import type { JsonValue } from '@holdfast/contract/json';
import { open, readFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';

/**
 * A file of records that only grows, one JSON value a line. Records are durable before they count; those of one moment
 * share one wait for the disk. Each begins and ends with a new line, so that one that was cut off, or that a power cut has
 * left as zeros, harms no other.
 */
export class Journal implements AsyncDisposable {
  readonly #path: string;
  readonly #sync = new CoalescedSync(() => this.#write());
  #pending: string[] = [];
  #handle: FileHandle | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /** All records, in order. Lines that are none (cut off by a crash) are passed over. */
  async read(): Promise<unknown[]> {
    const text = await readFile(this.#path, 'utf8').catch((error: unknown) => {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return '';
      throw fileSystemError(error, `Reading ${this.#path} of the spool`, 'read');
    });
    return text.split('\n').flatMap((line) => {
      try {
        const value: unknown = JSON.parse(line);
        return [value];
      } catch {
        return [];
      }
    });
  }

  /** Adds a record; resolves when it is durable. @throws HoldfastError `storage_full`, `backend_unavailable` */
  async append(record: JsonValue): Promise<void> {
    this.#pending.push(`\n${JSON.stringify(record)}\n`);
    try {
      await this.#sync.cover();
    } catch (error) {
      throw fileSystemError(error, "Writing to the hub's spool");
    }
  }

  async #write(): Promise<void> {
    const text = this.#pending.join('');
    this.#pending = [];
    this.#handle ??= await open(this.#path, 'a', 0o600);
    await this.#handle.appendFile(text);
    await this.#handle.datasync();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    await handle?.close();
  }
}
