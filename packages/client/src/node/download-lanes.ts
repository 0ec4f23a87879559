import type { ByteRange } from '@holdfast/bytes/ranges';
import { missingRanges, pieces, prefixOf } from '../byte-ranges.ts';
import { fetchRange } from './download-connection.ts';
import type { ProgressMeter } from './download-progress.ts';
import type { RangeAnswer, RangeSource, RemoteFile } from './download-source.ts';
import type { FilePart } from './file-part.ts';
import type { FollowingHash } from './file-prefix-hash.ts';
import { RangeWriter } from './file-range-writer.ts';

export interface LanesOptions {
  source: RangeSource;
  part: FilePart;
  hash: FollowingHash;
  meter: ProgressMeter;
  file: RemoteFile;
  /** The answer for the first piece that is missing. */
  first: RangeAnswer;
  onAnswer: (file: RemoteFile) => void;
  /** Requests at a time. */
  parallel: number;
  pieceBytes: number;
  signal: AbortSignal;
}

/**
 * Fetches all that is missing, several pieces at a time, the first ones first. After a failure all that has arrived is
 * written before it is thrown.
 * @throws FileChanged, and what `fetchRange` throws; the errors of the file system
 */
export async function fetchMissing(options: LanesOptions): Promise<void> {
  const { file, part, first, parallel, pieceBytes } = options;
  const missing = missingRanges(part.ranges, file.size);
  const [expected] = pieces(missing, pieceBytes);
  if (expected === undefined) {
    await first.body.cancel().catch(() => undefined);
    return;
  }
  // A server that answers with more than was asked for knows no ranges: all comes over one connection.
  const knowsRanges = first.start === expected.start && first.end <= expected.end;
  const queue = knowsRanges ? pieces(missing, pieceBytes) : missing.values();
  const failure = new AbortController();
  const signal = AbortSignal.any([failure.signal, options.signal]);
  let answer: RangeAnswer | undefined = first;
  const lane = async (): Promise<void> => {
    for (let next = queue.next(); next.done !== true && !signal.aborted; next = queue.next()) {
      const beginning = answer;
      answer = undefined;
      await fetchPiece({ ...options, signal }, next.value, beginning);
    }
  };
  let failed: { error: unknown } | undefined;
  const lanes = Array.from({ length: knowsRanges ? parallel : 1 }, () =>
    lane().catch((error: unknown) => {
      failed ??= { error };
      failure.abort();
    }),
  );
  await Promise.all(lanes);
  if (failed !== undefined) throw failed.error;
}

async function fetchPiece(
  { source, part, hash, meter, file, onAnswer, signal }: LanesOptions,
  { start, end }: ByteRange,
  answer: RangeAnswer | undefined,
): Promise<void> {
  const writer = new RangeWriter(part.handle, start, (range) => {
    part.written(range);
    hash.advance(prefixOf(part.ranges));
    meter.add(range.end - range.start);
  });
  try {
    for await (const chunk of fetchRange({ source, start, end, file, answer, onAnswer, signal })) {
      await part.onDisk(writer.append(chunk));
    }
  } finally {
    await part.onDisk(writer.finish());
  }
}
