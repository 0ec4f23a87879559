import { StreamDigest } from '@holdfast/bytes/sha256';
import { HoldfastError } from '@holdfast/contract/errors';

/**
 * Hashes a file while it is read from its start to its end, where a read may come again: the reader of the last bytes is
 * told before it passes them on when they are not those of the record.
 */
export class SequentialCheck {
  readonly #size: number;
  readonly #sha256: string;
  readonly #digest = new StreamDigest();

  constructor(size: number, sha256: string) {
    this.#size = size;
    this.#sha256 = sha256;
  }

  /** @throws HoldfastError `checksum_mismatch` with the last bytes of a file that was garbled on its way */
  note(bytes: Uint8Array, position: number): void {
    const next = this.#digest.bytes;
    const end = position + bytes.byteLength;
    if (position > next || end <= next) return; // a gap leaves it unchecked; what was hashed is not hashed again
    this.#digest.update(bytes.subarray(next - position));
    if (end === this.#size && this.#digest.hex() !== this.#sha256) {
      throw new HoldfastError(
        'checksum_mismatch',
        'The file came from its backend with other bytes than it was stored with.',
      );
    }
  }
}
