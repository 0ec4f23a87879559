import { ByteQueue } from '../byte-queue.ts';
import { crc32c } from './crc32c.ts';
import { garbled, HEADER_BYTES } from './pdu.ts';
import type { OutgoingPdu } from './pdu.ts';

/** Which parts of a PDU a CRC32C follows (RFC 7143 §13.1). */
export interface Digests {
  header: boolean;
  data: boolean;
}

export const noDigests: Digests = { header: false, data: false };

const digestBytes = 4;
const padding = Buffer.alloc(3);

function padOf(length: number): number {
  return -length & 3;
}

function digestOf(...parts: Uint8Array[]): Buffer {
  const bytes = Buffer.allocUnsafe(digestBytes);
  // The CRC goes out least significant byte first (RFC 7143 §13.1, the example of RFC 3720 appendix B.4).
  bytes.writeUInt32LE(parts.reduce((crc, part) => crc32c(part, crc), 0));
  return bytes;
}

/** The pieces of a PDU in the order they go on the wire, padded to four bytes, with their digests. */
export function framePdu({ header, data }: OutgoingPdu, digests: Digests): Uint8Array[] {
  const pieces: Uint8Array[] = [header];
  if (digests.header) pieces.push(digestOf(header));
  if (data.byteLength === 0) return pieces;
  const pad = padding.subarray(0, padOf(data.byteLength));
  pieces.push(data);
  if (pad.byteLength > 0) pieces.push(pad);
  if (digests.data) pieces.push(digestOf(data, pad));
  return pieces;
}

/** A PDU as it came off the wire, its digests found right. */
export interface RawPdu {
  header: Buffer;
  data: Buffer;
}

/** Cuts a stream of bytes into PDUs. Holds at most one PDU that is not yet complete. */
export class PduReader {
  readonly #maxDataBytes: number;
  readonly #queue = new ByteQueue();
  #digests = noDigests;
  #header: Buffer | undefined;

  /** @param maxDataBytes the longest data segment that we have told the target to send */
  constructor(maxDataBytes: number) {
    this.#maxDataBytes = maxDataBytes;
  }

  /** From the next PDU on: they begin with the full feature phase (RFC 7143 §6.3.4). */
  useDigests(digests: Digests): void {
    this.#digests = digests;
  }

  /**
   * Takes bytes in and gives what is complete with them. Lazy: a change of digests counts from the next PDU on.
   * @throws HoldfastError `backend_unavailable` for a wrong digest, and a length beyond what was agreed
   */
  *push(chunk: Buffer): Generator<RawPdu> {
    this.#queue.push(chunk);
    for (let pdu = this.#next(); pdu !== undefined; pdu = this.#next()) yield pdu;
  }

  #next(): RawPdu | undefined {
    const header = this.#header ?? this.#takeHeader();
    if (header === undefined) return undefined;
    this.#header = header;
    const length = header.readUIntBE(5, 3);
    const padded = length + padOf(length);
    const digest = this.#digests.data && length > 0 ? digestBytes : 0;
    const bytes = this.#queue.take(padded + digest);
    if (bytes === undefined) return undefined;
    this.#header = undefined;
    if (digest > 0 && crc32c(bytes.subarray(0, padded)) !== bytes.readUInt32LE(padded)) {
      throw garbled('data whose digest does not match');
    }
    return { header, data: bytes.subarray(0, length) };
  }

  #takeHeader(): Buffer | undefined {
    const digest = this.#digests.header ? digestBytes : 0;
    const bytes = this.#queue.take(HEADER_BYTES + digest);
    if (bytes === undefined) return undefined;
    const header = bytes.subarray(0, HEADER_BYTES);
    if (digest > 0 && crc32c(header) !== bytes.readUInt32LE(HEADER_BYTES)) {
      throw garbled('a header whose digest does not match');
    }
    // Targets have no use for additional header segments; what claims to have one is garbage.
    if (header[4] !== 0) throw garbled('an additional header where none belongs');
    const length = header.readUIntBE(5, 3);
    if (length > this.#maxDataBytes)
      throw garbled(`a message of ${length} bytes, where ${this.#maxDataBytes} were agreed`);
    return header;
  }
}
