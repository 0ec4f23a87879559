import { closeSync, openSync, read, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { newTempName } from '@holdfast/bytes/temp-name';

const readAt = promisify(read);
/** As much as one read from a socket brings. */
const SLOT_BYTES = 64 * 1024;

/** Bytes that are parked. They are taken or dropped once. */
interface Parked {
  readonly slots: readonly number[];
  readonly length: number;
}
export type { Parked };

/**
 * Keeps bytes that have come before anybody could take them, out of memory: in a file without a name, which is gone with
 * the process. Slots that are free again are used again.
 */
export class ParkedBytes implements Disposable {
  readonly #folder: string;
  readonly #free: number[] = [];
  #slots = 0;
  #fd: number | undefined;

  /** @param folder where the file is made when the first bytes come; it must be there by then */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /**
   * Written at once, to the cache of the system: bytes that were still on their way to the file would be in memory, which
   * is what parking is to save.
   * @returns undefined when the disk does not take them
   */
  park(bytes: Buffer): Parked | undefined {
    const slots = Array.from(
      { length: Math.ceil(bytes.length / SLOT_BYTES) },
      () => this.#free.pop() ?? this.#slots++,
    );
    const parked = { slots, length: bytes.length };
    try {
      this.#fd ??= this.#open();
      for (const [index, slot] of slots.entries()) {
        const from = index * SLOT_BYTES;
        const length = Math.min(SLOT_BYTES, bytes.length - from);
        const written = writeSync(this.#fd, bytes, from, length, slot * SLOT_BYTES);
        if (written === length) continue;
        this.drop(parked);
        return undefined;
      }
      return parked;
    } catch {
      this.drop(parked);
      return undefined;
    }
  }

  /** Gives parked bytes back. Rejects with the error of the system when they cannot be read. */
  async take(parked: Parked): Promise<Buffer> {
    const bytes = Buffer.allocUnsafeSlow(parked.length);
    try {
      for (const [index, slot] of parked.slots.entries()) {
        const from = index * SLOT_BYTES;
        const length = Math.min(SLOT_BYTES, parked.length - from);
        if (this.#fd === undefined) throw new Error('The parked bytes are gone: the hub is shutting down.');
        const { bytesRead } = await readAt(this.#fd, bytes, from, length, slot * SLOT_BYTES);
        if (bytesRead !== length) throw new Error('Parked bytes cannot be read back.');
      }
      return bytes;
    } finally {
      this.drop(parked);
    }
  }

  drop({ slots }: Parked): void {
    this.#free.push(...slots);
  }

  [Symbol.dispose](): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  #open(): number {
    const name = join(this.#folder, newTempName());
    const fd = openSync(name, 'wx+', 0o600);
    rmSync(name);
    return fd;
  }
}
