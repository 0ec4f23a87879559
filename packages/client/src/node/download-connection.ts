import { HoldfastError, isHoldfastError } from '@holdfast/contract/errors';
import { cancellationOf } from '@holdfast/bytes/cancellation';
import { isPassing } from '../client.ts';
import { backoffMs, pauseFor } from '../retry.ts';
import { isSameFile } from './download-source.ts';
import type { RangeAnswer, RangeSource, RemoteFile } from './download-source.ts';

/** Connections in a row that may break without a single byte. */
const MOST_FAILURES = 8;
const pauses = { baseMs: 250, capMs: 10_000 };

/** The file is not the one any more whose first bytes were fetched. */
export class FileChanged extends Error {
  override readonly name = 'FileChanged';
}

export interface FetchRange {
  source: RangeSource;
  start: number;
  end: number;
  /** The state of the file that the bytes must be of. */
  file: RemoteFile;
  /** An answer that is there already, to begin with. */
  answer?: RangeAnswer | undefined;
  /** Called for each answer of the same file: a later one can know more, such as the digest. */
  onAnswer?: ((file: RemoteFile) => void) | undefined;
  signal: AbortSignal;
}

/**
 * The bytes of a range in order. A connection that breaks is followed by another that goes on where it broke, with
 * pauses that grow as long as nothing comes.
 * @throws FileChanged; HoldfastError what the hub answered, `unreachable`, `cancelled`
 */
export async function* fetchRange(options: FetchRange): AsyncGenerator<Uint8Array, void, void> {
  const { source, end, file, signal } = options;
  const doing = `Downloading ${source.label}`;
  let { start: position, answer } = options;
  let failures = 0;
  while (position < end) {
    let progressed = false;
    try {
      answer ??= await source.open({ start: position, end }, file, signal);
      for await (const chunk of expectedBytes(answer, file, position, end)) {
        position += chunk.byteLength;
        progressed = true;
        yield chunk;
      }
      options.onAnswer?.(answer.file);
      if (position < end) throw new HoldfastError('unreachable', `${doing} broke off.`);
    } catch (error) {
      if (signal.aborted) throw cancellationOf(signal, doing);
      if (error instanceof FileChanged) throw error;
      if (isHoldfastError(error) && !isPassing(error)) throw error;
      failures = progressed ? 1 : failures + 1;
      if (failures > MOST_FAILURES) throw brokenOff(error, source.label, position);
      await pauseFor(backoffMs(failures, pauses), signal);
    }
    answer = undefined;
  }
}

async function* expectedBytes(
  answer: RangeAnswer,
  file: RemoteFile,
  start: number,
  end: number,
): AsyncGenerator<Uint8Array, void, void> {
  if (!isSameFile(answer.file, file) || answer.start > start) {
    await answer.body.cancel().catch(() => undefined);
    throw new FileChanged();
  }
  let position = answer.start;
  // Leaving the loop cancels the body, and with it the connection when more would come.
  for await (const chunk of answer.body) {
    const from = Math.max(0, start - position);
    const wanted = chunk.subarray(from, Math.max(from, end - position));
    position += chunk.byteLength;
    if (wanted.byteLength > 0) yield wanted;
    if (position >= end && answer.end > end) return;
  }
}

function brokenOff(error: unknown, label: string, position: number): HoldfastError {
  if (isHoldfastError(error)) return error;
  const text = `The connection to the hub broke ${MOST_FAILURES + 1} times in a row while ${label} was downloaded (at byte ${position}). Check the network, then try again: it goes on from there.`;
  return new HoldfastError('unreachable', text, { cause: error });
}
