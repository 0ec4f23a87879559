import type { NfsAttributes, NfsFile } from '../file-system.ts';
import { GarbledReply } from '../xdr/garbled.ts';
import type { V3Client } from './client.ts';
import {
  readAttributes,
  readOptionalAttributes,
  skipChanges,
  VERIFIER_BYTES,
  writeSize,
} from './structures.ts';

const UNSTABLE = 0;

export interface TransferLimits {
  maxReadBytes: number;
  maxWriteBytes: number;
}

/** The attributes of a handle. */
export async function getAttributes(client: V3Client, handle: Buffer): Promise<NfsAttributes> {
  return client.call({
    procedure: 'GETATTR',
    write: (writer) => writer.opaque(handle),
    read: readAttributes,
  });
}

/** A file by NFSv3, which knows no opens: there is nothing to reopen and nothing to close. */
export class V3OpenFile implements NfsFile {
  readonly handle: Buffer;
  readonly maxReadBytes: number;
  readonly maxWriteBytes: number;
  readonly #client: V3Client;

  constructor(client: V3Client, handle: Buffer, limits: TransferLimits) {
    this.#client = client;
    this.handle = handle;
    this.maxReadBytes = limits.maxReadBytes;
    this.maxWriteBytes = limits.maxWriteBytes;
  }

  async read(offset: number, length: number, replyBuffer?: Buffer): Promise<Buffer> {
    return this.#client.call({
      procedure: 'READ',
      write: (writer) => writer.opaque(this.handle).u64(offset).u32(length),
      read: (reader) => {
        readOptionalAttributes(reader);
        const count = reader.u32();
        const isEnd = reader.bool();
        const bytes = reader.opaque(length);
        if (count !== bytes.byteLength) throw new GarbledReply('the counts do not agree');
        if (count === 0 && length > 0 && !isEnd) throw new GarbledReply('no bytes, though there are more');
        return bytes;
      },
      replyBuffer,
    });
  }

  async write(offset: number, bytes: Uint8Array): Promise<{ written: number; verifier: string }> {
    return this.#client.call({
      procedure: 'WRITE',
      write: (writer) =>
        writer.opaque(this.handle).u64(offset).u32(bytes.byteLength).u32(UNSTABLE).bulk(bytes),
      read: (reader) => {
        skipChanges(reader);
        const written = reader.u32();
        reader.u32();
        if (written === 0 || written > bytes.byteLength)
          throw new GarbledReply(`${written} bytes were written`);
        return { written, verifier: reader.fixed(VERIFIER_BYTES).toString('hex') };
      },
    });
  }

  async commit(): Promise<string> {
    return this.#client.call({
      procedure: 'COMMIT',
      write: (writer) => writer.opaque(this.handle).u64(0).u32(0),
      read: (reader) => {
        skipChanges(reader);
        return reader.fixed(VERIFIER_BYTES).toString('hex');
      },
    });
  }

  async resize(size: number): Promise<void> {
    await this.#client.call({
      procedure: 'SETATTR',
      write: (writer) => {
        writeSize(writer.opaque(this.handle), size);
        writer.bool(false);
      },
      read: skipChanges,
    });
  }

  async attributes(): Promise<NfsAttributes> {
    return getAttributes(this.#client, this.handle);
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
