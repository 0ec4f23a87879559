import { randomUUID } from 'node:crypto';
import type { ContentArea, Received, ReceivedPiece, StagedUpload, StagedUploadKey } from '../contents.ts';
import { chunksOf } from './sample-bytes.ts';

/** An upload of a test: its key, an instance, and the pieces that were acknowledged. */
export class TestUpload {
  readonly area: ContentArea;
  readonly key: StagedUploadKey;
  upload: StagedUpload;
  readonly pieces: ReceivedPiece[] = [];

  constructor(area: ContentArea, key: StagedUploadKey, upload: StagedUpload) {
    this.area = area;
    this.key = key;
    this.upload = upload;
  }

  /** Notes a piece as acknowledged, in place of one that was received before at the same position. */
  note(position: number, { bytes, receipt }: Pick<Received, 'bytes' | 'receipt'>): void {
    const place = this.pieces.findIndex((piece) => piece.position >= position);
    const isAgain = this.pieces[place]?.position === position;
    this.pieces.splice(place === -1 ? this.pieces.length : place, isAgain ? 1 : 0, {
      position,
      bytes,
      receipt: receipt ?? null,
    });
    let end = 0;
    for (const piece of this.pieces) {
      if (piece.position !== end) break;
      end += piece.bytes;
    }
    this.upload.prefixGrew(end);
  }

  /** Sends a part of some bytes to its place. */
  async send(bytes: Uint8Array, start = 0, end = bytes.byteLength): Promise<Received> {
    const piece = bytes.subarray(start, end);
    const received = await this.upload.receive(start, chunksOf(piece), { length: piece.byteLength });
    this.note(start, received);
    return received;
  }

  /** As after a restart: another instance, which knows nothing but the key. */
  async restart(): Promise<void> {
    await this.upload[Symbol.asyncDispose]();
    const key: StagedUploadKey = JSON.parse(JSON.stringify(this.key));
    this.upload = await this.area.staging.resume(key);
  }

  async seal(size: number): Promise<string> {
    return (await this.upload.seal(size, this.pieces)).sha256;
  }
}

/** Begins an upload with an id of its own. */
export async function beginUpload(
  area: ContentArea,
  size: number | null,
  chunkSize: number | null,
): Promise<TestUpload> {
  const upload = { id: `u-${randomUUID()}`, size, chunkSize };
  const key = { ...upload, state: await area.staging.create(upload) };
  return new TestUpload(area, key, await area.staging.resume(key));
}

/** The starts of the chunks of a size. */
export function chunkStarts(size: number, chunkSize: number): number[] {
  return Array.from({ length: Math.ceil(size / chunkSize) }, (_, index) => index * chunkSize);
}

/** An upload with all its bytes sent, chunk by chunk. */
export async function uploadOf(area: ContentArea, bytes: Uint8Array, chunkSize: number): Promise<TestUpload> {
  const upload = await beginUpload(area, bytes.byteLength, chunkSize);
  for (const start of chunkStarts(bytes.byteLength, chunkSize)) {
    await upload.send(bytes, start, Math.min(start + chunkSize, bytes.byteLength));
  }
  return upload;
}
