import type { ServerResponse } from 'node:http';
import type { PacedStream } from '@holdfast/bytes/pacing/transfer-view';
import { ReceiverWatch } from '@holdfast/bytes/receiver-watch';
import { finish, STALLED_MS } from './body.ts';

/** Small pieces are gathered to blocks of this size, in bytes: an archive of small files is thousands of them. */
const BLOCK_BYTES = 64 * 1024;

/**
 * Sends bytes whose number nobody knows before, and ends the response. One block is held at a time; the source is closed after a
 * failure.
 * @throws HoldfastError `cancelled` when the receiver goes away or the transfer is ended; a failure of the source unchanged
 */
export async function sendGrowing(
  to: ServerResponse,
  source: AsyncIterable<Uint8Array>,
  stream: PacedStream,
): Promise<void> {
  to.setTimeout(STALLED_MS, () => to.destroy());
  {
    using watch = new ReceiverWatch(to, stream.signal);
    const blocks = inBlocks(source);
    let exhausted = false;
    try {
      for (;;) {
        const next = await watch.wait(blocks.next());
        if (next.done === true) {
          exhausted = true;
          break;
        }
        const block = next.value;
        const paced = stream.pace(block.byteLength);
        if (paced !== undefined) await watch.wait(paced);
        await watch.wait(watch.write(block));
        stream.sent(block.byteLength);
      }
    } finally {
      // Not awaited: a source that hangs must not hold up the failure, and its own one comes second to that.
      if (!exhausted) void blocks.return().catch(() => undefined);
    }
  }
  await finish(to, undefined);
}

async function* inBlocks(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, void> {
  let gathered: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of source) {
    gathered.push(piece);
    bytes += piece.byteLength;
    if (bytes < BLOCK_BYTES) continue;
    yield gathered.length === 1 ? piece : Buffer.concat(gathered, bytes);
    gathered = [];
    bytes = 0;
  }
  if (bytes > 0) yield Buffer.concat(gathered, bytes);
}
