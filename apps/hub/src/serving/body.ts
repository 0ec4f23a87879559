import type { ServerResponse } from 'node:http';
import type { ByteRange } from '@holdfast/bytes/ranges';
import type { BufferPool } from '@holdfast/bytes/buffer-pool';
import type { PacedStream } from '@holdfast/bytes/pacing/transfer-view';
import { sendRange } from '@holdfast/bytes/send-range';
import { sendStream } from '@holdfast/bytes/send-stream';
import { StreamDigest } from '@holdfast/bytes/sha256';
import { HoldfastError } from '@holdfast/contract/errors';
import type { OpenFile } from '@holdfast/storage/backend';

/** A receiver that takes nothing for this long is given up, in milliseconds. */
export const STALLED_MS = 120_000;
/** The end of a body that is held back until the file has been looked at once more, in bytes. */
const HELD_BACK_BYTES = 4096;

export interface SendOptions {
  buffers: BufferPool;
  /** Says when blocks may go, and is told what went. */
  stream: PacedStream;
  /** What a whole body must hash to, where it comes over a network; null: it is not checked. */
  verify: string | null;
}

export interface BodyPlan {
  parts: readonly { header?: Uint8Array; range: ByteRange }[];
  trailer?: Uint8Array;
}

/**
 * Sends the parts of an open file and ends the response. Before the last bytes go out the file is looked at once
 * more: when it was changed in place meanwhile, the body stays incomplete, so that nobody takes mixed bytes for
 * the file whose digest the head has promised.
 * @throws HoldfastError `cancelled` when the receiver goes away, `backend_unavailable` when the file changed or ends early
 */
export async function sendBody(
  to: ServerResponse,
  file: OpenFile,
  plan: BodyPlan,
  options: SendOptions,
): Promise<void> {
  to.setTimeout(STALLED_MS, () => to.destroy());
  const last = plan.parts.length - 1;
  const digest = isWhole(plan, file) && options.verify !== null ? new StreamDigest() : null;
  for (const [index, { header, range }] of plan.parts.entries()) {
    if (header !== undefined) to.write(header);
    if (index < last) {
      await send(to, file, range, options);
      continue;
    }
    const split = Math.max(range.start, range.end - HELD_BACK_BYTES);
    await send(to, file, { start: range.start, end: split }, options, digest);
    const tail = await readWhole(file, { start: split, end: range.end });
    await requireUnchanged(file);
    digest?.update(tail);
    if (digest !== null && digest.hex() !== options.verify) throw garbled(file);
    await options.stream.pace(tail.byteLength);
    to.write(tail);
    options.stream.sent(tail.byteLength);
  }
  await finish(to, plan.trailer);
}

async function send(
  to: ServerResponse,
  file: OpenFile,
  range: ByteRange,
  { buffers, stream }: SendOptions,
  digest: StreamDigest | null = null,
): Promise<void> {
  if (range.end === range.start) return;
  const paced = {
    to,
    signal: stream.signal,
    pace: (bytes: number) => stream.pace(bytes),
    onBytes: (bytes: number) => {
      stream.sent(bytes);
    },
  };
  if (file.readInto !== undefined) {
    const readInto = digested(file.readInto.bind(file), digest);
    await sendRange({ ...paced, readInto, range, buffers, blockBytes: () => stream.blockBytes });
  } else {
    await sendStream({
      ...paced,
      source: digest === null ? file.stream(range) : digestedStream(file.stream(range), digest),
      length: range.end - range.start,
    });
  }
}

/** The bytes of a small range. @throws HoldfastError `backend_unavailable` when the file ends early */
export async function readWhole(file: OpenFile, range: ByteRange): Promise<Buffer> {
  const bytes = Buffer.alloc(range.end - range.start);
  let filled = 0;
  for await (const chunk of file.stream(range)) {
    bytes.set(chunk.subarray(0, bytes.byteLength - filled), filled);
    filled += chunk.byteLength;
  }
  if (filled < bytes.byteLength) throw changed(file);
  return bytes;
}

function isWhole({ parts }: BodyPlan, file: OpenFile): boolean {
  const [only] = parts;
  return (
    parts.length === 1 && only !== undefined && only.range.start === 0 && only.range.end === file.entry.size
  );
}

type ReadInto = (buffer: Uint8Array, position: number) => Promise<number>;

/** A body is read from its start to its end, so that each read continues the digest. */
function digested(readInto: ReadInto, digest: StreamDigest | null): ReadInto {
  if (digest === null) return readInto;
  return async (buffer, position) => {
    const bytes = await readInto(buffer, position);
    digest.update(buffer.subarray(0, bytes));
    return bytes;
  };
}

async function* digestedStream(
  source: AsyncIterable<Uint8Array>,
  digest: StreamDigest,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of source) {
    digest.update(chunk);
    yield chunk;
  }
}

function garbled(file: OpenFile): HoldfastError {
  return new HoldfastError(
    'checksum_mismatch',
    `${file.entry.path} came from its backend with other bytes than it was stored with; the transfer was cut. Try again, and verify the backend if it stays.`,
  );
}

/** Time stamps and size only: replacing a path by rename touches the old inode's ctime, not the bytes that are open. */
async function requireUnchanged(file: OpenFile): Promise<void> {
  const now = await file.revalidate();
  if (now.size !== file.entry.size || now.modifiedAt.getTime() !== file.entry.modifiedAt.getTime())
    throw changed(file);
}

function changed(file: OpenFile): HoldfastError {
  return new HoldfastError(
    'backend_unavailable',
    `${file.entry.path} was changed while it was being sent; the transfer was cut.`,
  );
}

/** Ends a response. @throws HoldfastError `cancelled` when the client goes away before it has taken everything */
export function finish(to: ServerResponse, trailer: Uint8Array | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const gone = (): void =>
      reject(new HoldfastError('cancelled', 'The client closed the connection before it had all bytes.'));
    if (to.destroyed) {
      gone();
      return;
    }
    to.once('close', gone);
    to.end(trailer, () => {
      to.off('close', gone);
      resolve();
    });
  });
}
