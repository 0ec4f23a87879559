import type { Writable } from 'node:stream';
import { ReceiverWatch } from './receiver-watch.ts';
import type { Pace } from './send-range.ts';
import { endedEarly, sourceFailure, tooLong } from './transfer-errors.ts';

export interface SendStreamOptions {
  /** Its chunks must stay as they are after the next one is asked for. */
  source: AsyncIterable<Uint8Array>;
  /** A ServerResponse, a socket, or any other stream. It is never ended and never destroyed here. */
  to: Writable;
  /** The bytes that the receiver was told to expect. */
  length: number;
  signal?: AbortSignal;
  /** Asked before each chunk is written. */
  pace?: Pace;
  /** Told the bytes of each chunk once the kernel has taken them. */
  onBytes?: (bytes: number) => void;
}

/**
 * Sends a source that cannot be read by position: exactly `length` bytes. One chunk is being written while the next
 * one is fetched, so two chunks are held at most. The source is closed (`return`) after a failure.
 *
 * @returns the bytes sent, always `length`
 * @throws HoldfastError `cancelled` at once when the receiver closes or the signal aborts, and nothing is written
 * afterwards; `backend_unavailable` when the source fails, ends early or has more (nothing beyond `length` is
 * written). After any failure the caller must destroy the connection.
 */
export async function sendStream(options: SendStreamOptions): Promise<number> {
  const { to, length, pace, onBytes } = options;
  const iterator = options.source[Symbol.asyncIterator]();
  let exhausted = false;
  try {
    using watch = new ReceiverWatch(to, options.signal);
    let sent = 0;
    let writing = 0;
    let written: Promise<void> | undefined;
    const awaitWritten = async (): Promise<void> => {
      if (written === undefined) return;
      await watch.wait(written);
      written = undefined;
      onBytes?.(writing);
    };

    for (;;) {
      watch.throwIfStopped();
      const next = await watch.wait(iterator.next()).catch(sourceFailure);
      if (next.done === true) break;
      const chunk = next.value;
      if (chunk.byteLength === 0) continue;
      if (sent + chunk.byteLength > length) throw tooLong(length);
      await awaitWritten();
      const paced = pace?.(chunk.byteLength);
      if (paced !== undefined) await watch.wait(paced);
      written = watch.write(chunk);
      writing = chunk.byteLength;
      sent += chunk.byteLength;
    }
    exhausted = true;
    await awaitWritten();
    if (sent < length) throw endedEarly(sent, length);
    return sent;
  } finally {
    // Not awaited: a source that hangs must not hold up the failure, and its own one comes second to that.
    if (!exhausted) void closeSource(iterator);
  }
}

async function closeSource(iterator: AsyncIterator<Uint8Array>): Promise<void> {
  try {
    await iterator.return?.();
  } catch {
    // The transfer has failed already, for the reason that its caller gets.
  }
}
