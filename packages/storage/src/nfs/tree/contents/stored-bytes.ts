import { HoldfastError } from '@holdfast/contract/errors';
import { nfsError } from '../../failure.ts';
import type { NfsFile } from '../../file-system.ts';
import { readFully } from '../small-file.ts';
import { isBlock } from './block-sums.ts';
import type { Block, BlockSums } from './block-sums.ts';

/** Bytes of one read where no block is known. */
const READ_BYTES = 512 * 1024;
/** Reads under way. */
const READS_AHEAD = 4;
/** Looks at bytes that do not agree with those of another look. */
const MAX_LOOKS = 4;

/**
 * The bytes of a file as the server has them, each compared with what was sent or, where that is not known any more, read
 * twice: nothing guards them on their way here. Ends early where the file does.
 * @param label how the file is called in errors
 * @throws HoldfastError `checksum_mismatch` when the server has other bytes than were sent
 */
export async function* readStored(
  file: NfsFile,
  start: number,
  end: number,
  sums: BlockSums,
  label: string,
): AsyncGenerator<Buffer> {
  const ahead: Promise<Buffer>[] = [];
  try {
    for (let [position, next] = [start, start]; position < end;) {
      while (ahead.length < READS_AHEAD && next < end) {
        const known = sums.at(next);
        const block = known !== undefined && next + known.length <= end ? known : undefined;
        const length = block?.length ?? Math.min(READ_BYTES, end - next);
        const reading = readBlock(file, next, length, block, label);
        // Its failure is met in its turn; until then it must not count as unhandled.
        reading.catch(() => undefined);
        ahead.push(reading);
        next += length;
      }
      const bytes = await ahead.shift();
      if (bytes === undefined || bytes.byteLength === 0) return;
      position += bytes.byteLength;
      yield bytes;
      // Shorter than it should be: the file ends here.
      if (ahead.length === 0 && next < position) return;
    }
  } finally {
    await Promise.allSettled(ahead);
  }
}

async function readBlock(
  file: NfsFile,
  position: number,
  length: number,
  block: Block | undefined,
  label: string,
): Promise<Buffer> {
  const look = async (): Promise<Buffer> =>
    readFully(file, position, length).catch((error: unknown) => {
      throw nfsError(error, `Reading ${label}`, 'read');
    });
  let bytes = await look();
  for (let looks = 1; looks < MAX_LOOKS; looks += 1) {
    if (block !== undefined && isBlock(block, bytes)) return bytes;
    const again = await look();
    if (block === undefined && again.equals(bytes)) return again;
    bytes = again;
  }
  if (block === undefined) {
    const text = `${label} cannot be read: every time other bytes come. Check the network for damaged packets.`;
    throw new HoldfastError('backend_unavailable', text);
  }
  const text = `At byte ${position} of ${label} the server has other bytes than were sent to it.`;
  throw new HoldfastError(
    'checksum_mismatch',
    `${text} Check the network for damaged packets, then begin anew.`,
  );
}
