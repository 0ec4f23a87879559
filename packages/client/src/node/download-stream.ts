import { cancellationOf, throwIfCancelled } from '@holdfast/bytes/cancellation';
import { StreamDigest } from '@holdfast/bytes/sha256';
import { HoldfastError } from '@holdfast/contract/errors';
import type { HubClient } from '../client.ts';
import { FileChanged, fetchRange } from './download-connection.ts';
import { ProgressMeter } from './download-progress.ts';
import type { DownloadProgress } from './download-progress.ts';
import { rangeSource } from './download-source.ts';
import type { DownloadWhat, RemoteFile } from './download-source.ts';

export interface StreamDownloadOptions {
  signal?: AbortSignal | undefined;
  /** Only these bytes: from `start` to `end` (exclusive; default: the end of the file). A part is not verified. */
  range?: { start: number; end?: number | undefined } | undefined;
  onProgress?: ((progress: DownloadProgress) => void) | undefined;
}

export interface StreamDownloadResult {
  /** Lower-case hex, of the bytes that were handed over. */
  sha256: string;
  bytes: number;
  /** Whether the SHA-256 is that of the whole file as the hub knows it. */
  verified: boolean;
}

/**
 * Hands over the bytes of a file in order, for a pipe or standard output. A broken connection goes on where it broke. The next chunk
 * comes when `sink` has resolved; an error of it is thrown unchanged.
 *
 * @throws HoldfastError `checksum_mismatch` after the last byte: what was handed over is worthless; `conflict` when the file changed
 *   meanwhile; `range_not_satisfiable`, `cancelled`, `unreachable`, what the hub answers
 */
export async function streamDownload(
  client: HubClient,
  what: DownloadWhat,
  sink: (chunk: Uint8Array) => Promise<void>,
  options: StreamDownloadOptions = {},
): Promise<StreamDownloadResult> {
  const { range, onProgress } = options;
  const source = rangeSource(client, what);
  const doing = `Downloading ${source.label}`;
  throwIfCancelled(options.signal, doing);
  const ended = new AbortController();
  using _ = { [Symbol.dispose]: () => ended.abort() };
  const signal = AbortSignal.any([ended.signal, ...(options.signal === undefined ? [] : [options.signal])]);
  const answer = await source.open(range, undefined, signal);
  const { file } = answer;
  const start = range?.start ?? 0;
  const end = Math.min(range?.end ?? file.size, file.size);
  if (start > end) {
    throw new HoldfastError(
      'range_not_satisfiable',
      `${source.label} has ${file.size} bytes, none from ${start} on.`,
    );
  }
  let known = file.sha256;
  const onAnswer = (seen: RemoteFile): void => {
    known ??= seen.sha256;
  };
  const digest = new StreamDigest();
  const meter = new ProgressMeter(end - start, 0, onProgress);
  meter.tell('receiving');
  try {
    for await (const chunk of fetchRange({ source, start, end, file, answer, onAnswer, signal })) {
      digest.update(chunk);
      await sink(chunk);
      if (signal.aborted) throw cancellationOf(signal, doing);
      meter.add(chunk.byteLength);
    }
  } catch (error) {
    if (!(error instanceof FileChanged)) throw error;
    const text = `${source.label} changed on the hub while it was downloaded: what was handed over ends in its middle. Try again.`;
    throw new HoldfastError('conflict', text, { retryable: true, cause: error });
  }
  meter.tell('finishing');
  const sha256 = digest.hex();
  const isWhole = start === 0 && end === file.size;
  const expected = 'sha256' in what ? what.sha256 : known;
  if (isWhole && expected !== undefined && expected !== sha256) {
    const text = `${source.label} arrived with the SHA-256 ${sha256} and not ${expected}, as it must. Discard what was handed over and try again.`;
    throw new HoldfastError('checksum_mismatch', text);
  }
  return { sha256, bytes: digest.bytes, verified: isWhole && expected !== undefined };
}
