import { lstat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import { errnoOf, fileSystemError } from '@holdfast/bytes/file-system-error';
import type { ByteRange } from '@holdfast/bytes/ranges';
import { HoldfastError } from '@holdfast/contract/errors';
import type { HubClient } from '../client.ts';
import { bytesIn, missingRanges, pieces, prefixOf } from '../byte-ranges.ts';
import { FileChanged } from './download-connection.ts';
import { fetchMissing } from './download-lanes.ts';
import { ProgressMeter } from './download-progress.ts';
import type { DownloadProgress } from './download-progress.ts';
import { isSameFile, rangeSource } from './download-source.ts';
import type { DownloadWhat, RangeSource, RemoteFile } from './download-source.ts';
import { FilePart } from './file-part.ts';
import { FollowingHash } from './file-prefix-hash.ts';

const PIECE_BYTES = 8 * 1024 * 1024;
const PARALLEL = 4;
/** How often a file may change while it is downloaded before this is given up. */
const MOST_STARTS = 4;

export interface DownloadOptions {
  onProgress?: ((progress: DownloadProgress) => void) | undefined;
  signal?: AbortSignal | undefined;
  /** An existing folder for the journal. Default: the folder of the target. */
  stateDir?: string | undefined;
  /** Requests at a time. Default 4. */
  parallel?: number | undefined;
  /** Bytes of one request. Default 8 MiB. */
  pieceBytes?: number | undefined;
  /** Lower-case hex that the bytes must have, whatever the hub says. */
  expectedSha256?: string | undefined;
  /** Permission bits. Default 0666, cut by the umask. */
  mode?: number | undefined;
  mtime?: Date | undefined;
  /** Replace what stands under the name (a symlink itself, never what it points to). Default: refuse. */
  overwrite?: boolean | undefined;
}

export interface DownloadResult {
  /** Lower-case hex, of the bytes on the disk. */
  sha256: string;
  bytes: number;
  /** Whether it was compared: false when neither the hub nor the caller knew a checksum. */
  verified: boolean;
  /** Bytes that an earlier attempt had left and that were not fetched again. */
  resumedBytes: number;
}

interface Download {
  source: RangeSource;
  target: string;
  /** What the caller knows of the SHA-256. */
  announced: string[];
  options: DownloadOptions;
}

/**
 * Downloads a file by several requests at a time into a hidden file beside the target, which gets its name when all bytes are
 * durable and verified. A broken connection goes on where it broke; a later call goes on where an earlier one has ended, if
 * the file is still the same. Memory: about 3 MiB for each request, whatever the size.
 *
 * @throws HoldfastError `already_exists`, `is_a_directory`, `checksum_mismatch` (nothing is left), `storage_full` and other errors
 *   of the file system, `conflict` (the file keeps changing, or is being downloaded already), `cancelled`, `unreachable`, what
 *   the hub answers
 */
export async function downloadFile(
  client: HubClient,
  what: DownloadWhat,
  target: string,
  options: DownloadOptions = {},
): Promise<DownloadResult> {
  const source = rangeSource(client, what);
  throwIfCancelled(options.signal, `Downloading ${source.label}`);
  const path = resolve(target);
  await requireFreeName(path, options.overwrite === true);
  const { stateDir, mode, expectedSha256 } = options;
  const announced = [expectedSha256, 'sha256' in what ? what.sha256 : undefined];
  const download = {
    source,
    target: path,
    announced: announced.filter((sha256) => sha256 !== undefined),
    options,
  };
  await using part = await FilePart.open({ target: path, stateDir, source: source.identity, mode });
  for (let start = 1; start <= MOST_STARTS; start += 1) {
    try {
      return await attempt(download, part);
    } catch (error) {
      if (!(error instanceof FileChanged)) throw error;
    }
  }
  const text = `${source.label} changed on the hub each time while it was downloaded. Try again when nobody writes to it.`;
  throw new HoldfastError('conflict', text, { retryable: true });
}

async function attempt(download: Download, part: FilePart): Promise<DownloadResult> {
  const { source, options } = download;
  const { parallel = PARALLEL, pieceBytes = PIECE_BYTES, onProgress } = options;
  // Whatever ends the attempt ends its requests.
  const ended = new AbortController();
  using _ = { [Symbol.dispose]: () => ended.abort() };
  const signal = AbortSignal.any([ended.signal, ...(options.signal === undefined ? [] : [options.signal])]);
  const firstPiece = (): ByteRange => {
    if (part.remote === undefined) return { start: 0, end: pieceBytes };
    const [piece] = pieces(missingRanges(part.ranges, part.remote.size), pieceBytes);
    return piece ?? { start: 0, end: 1 };
  };
  let first = await source.open(firstPiece(), part.remote, signal);
  let { sha256 } = first.file;
  await requireAnnounced(download, part, sha256);
  if (part.remote === undefined || !isSameFile(part.remote, first.file)) {
    const wasBegun = part.remote !== undefined;
    await part.begin(first.file);
    if (wasBegun) {
      await first.body.cancel().catch(() => undefined);
      first = await source.open(firstPiece(), first.file, signal);
    }
  }
  const file = part.remote ?? first.file;
  const resumedBytes = bytesIn(part.ranges);
  const meter = new ProgressMeter(file.size, resumedBytes, onProgress);
  await using hash = new FollowingHash(part.handle);
  hash.advance(prefixOf(part.ranges));
  meter.tell('receiving');
  const onAnswer = (seen: RemoteFile): void => {
    sha256 ??= seen.sha256;
  };
  try {
    await fetchMissing({ source, part, hash, meter, file, first, onAnswer, parallel, pieceBytes, signal });
  } catch (error) {
    await part.settled();
    // The first error counts; without this note a later attempt only fetches more again.
    await part.checkpoint().catch(() => undefined);
    throw error;
  }
  meter.tell('finishing');
  const actual = await hash.finish(file.size);
  sha256 ??= await digestNow(source, file, signal);
  if (sha256 !== undefined && sha256 !== actual && resumedBytes > 0) {
    // What an earlier attempt has left may be at fault; with none of it the checksum tells the truth.
    await part.begin(file);
    throw new FileChanged();
  }
  await requireAnnounced(download, part, actual);
  await requireEqual(download, part, sha256, actual);
  throwIfCancelled(options.signal, `Downloading ${source.label}`);
  await part.publish({ overwrite: options.overwrite === true, mtime: options.mtime });
  const verified = sha256 !== undefined || download.announced.length > 0;
  return { sha256: actual, bytes: file.size, verified, resumedBytes };
}

/** The hub hashes large files behind the first request: it may know the digest by now. */
async function digestNow(
  source: RangeSource,
  file: RemoteFile,
  signal: AbortSignal,
): Promise<string | undefined> {
  const answer = await source.open({ start: 0, end: 1 }, file, signal);
  await answer.body.cancel().catch(() => undefined);
  if (!isSameFile(answer.file, file)) throw new FileChanged();
  return answer.file.sha256;
}

async function requireAnnounced(
  download: Download,
  part: FilePart,
  actual: string | undefined,
): Promise<void> {
  for (const announced of download.announced) await requireEqual(download, part, announced, actual);
}

async function requireEqual(
  { source, target }: Download,
  part: FilePart,
  expected: string | undefined,
  actual: string | undefined,
): Promise<void> {
  if (expected === undefined || actual === undefined || expected === actual) return;
  await part.discard();
  const text = `${source.label} has the SHA-256 ${actual} and not ${expected}, as it must. Nothing was kept as ${target}. Try again, and have the hub verify the file when it happens again.`;
  throw new HoldfastError('checksum_mismatch', text);
}

async function requireFreeName(path: string, overwrite: boolean): Promise<void> {
  const stats = await lstat(path).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw fileSystemError(error, `Writing ${path}`);
  });
  if (stats?.isDirectory() === true) {
    throw new HoldfastError(
      'is_a_directory',
      `${path} is a folder. Name the file in it that is to be written.`,
    );
  }
  if (stats !== undefined && !overwrite) {
    throw new HoldfastError('already_exists', `${path} exists already. Remove it, or ask to overwrite it.`);
  }
}
