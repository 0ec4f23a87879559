import { ByteQueue } from '../byte-queue.ts';

/** What a frame is for. Of the caller: call, bytes, end, answer, cancel, ping. Of the other side: the rest. */
export const frameKinds = [
  'call',
  'bytes',
  'end',
  'answer',
  'cancel',
  'ping',
  'result',
  'failure',
  'credit',
  'ask',
  'pong',
  'lost',
] as const;
export type FrameKind = (typeof frameKinds)[number];

export interface Frame {
  kind: FrameKind;
  /** The number of the call that it belongs to; 0 for none. */
  call: number;
  payload: Buffer;
}

/** The longest payload. */
export const MAX_PAYLOAD_BYTES = 1024 * 1024;

const headerBytes = 9;

/** The bytes of a frame: length of the payload, kind, number of the call, payload. The payload is copied. */
export function encodeFrame(kind: FrameKind, call: number, payload: Uint8Array = new Uint8Array(0)): Buffer {
  if (payload.byteLength > MAX_PAYLOAD_BYTES)
    throw new RangeError(`A frame of ${payload.byteLength} bytes is too long.`);
  const bytes = Buffer.allocUnsafe(headerBytes + payload.byteLength);
  bytes.writeUInt32BE(payload.byteLength);
  bytes[4] = frameKinds.indexOf(kind);
  bytes.writeUInt32BE(call, 5);
  bytes.set(payload, headerBytes);
  return bytes;
}

export function jsonPayload(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value ?? null));
}

/** Cuts a stream of bytes into frames. */
export class FrameReader {
  readonly #queue = new ByteQueue();
  #header: Buffer | undefined;

  /** @throws when the bytes are no frames */
  *push(chunk: Buffer): Generator<Frame> {
    this.#queue.push(chunk);
    for (;;) {
      this.#header ??= this.#queue.take(headerBytes);
      if (this.#header === undefined) return;
      const length = this.#header.readUInt32BE();
      const kind = frameKinds[this.#header[4] ?? frameKinds.length];
      if (kind === undefined || length > MAX_PAYLOAD_BYTES)
        throw new Error('The bytes between the processes are no frames.');
      const payload = this.#queue.take(length);
      if (payload === undefined) return;
      const call = this.#header.readUInt32BE(5);
      this.#header = undefined;
      yield { kind, call, payload };
    }
  }
}
