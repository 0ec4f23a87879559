import { HoldfastError } from '@holdfast/contract/errors';
import { MAX_BATCH_HEADER_BYTES } from '@holdfast/contract/uploads';
import type { BatchResult } from '@holdfast/contract/uploads';
import { batchHeader, joined } from './batch-frame.ts';
import type { HubClient } from './client.ts';
import { sha256Of } from './digest.ts';
import { cancelledBy } from './retry.ts';

/** A small file to send. */
export interface SmallFile {
  hostname: string;
  filepath: string;
  /** Bytes. */
  size: number;
  /** ISO 8601. */
  mtime?: string | undefined;
  mode?: number | undefined;
  /** The bytes; called once, when its turn has come. */
  read(): Promise<Uint8Array>;
}

/** What became of a file of a batch. */
export type SmallFileResult = BatchResult['files'][number];

export interface BatchOptions {
  /** Groups in flight at once. Default 2: one is gathered and hashed while another is stored. */
  parallel?: number | undefined;
  /** Bytes of one group at most. Default: 8 MiB, or what the hub takes. */
  groupBytes?: number | undefined;
  signal?: AbortSignal | undefined;
}

const GROUP_BYTES = 8 * 1024 * 1024;

/**
 * Sends many small files, in groups of one request each, and tells what became of each of them, in the order in which they came.
 * A file that cannot be read, has changed its size or is too large for a batch is told as `refused` and does not hold up the others.
 * Memory: the groups in flight.
 * @throws HoldfastError as the hub refuses a whole group
 */
export async function* uploadSmallFiles(
  client: HubClient,
  files: AsyncIterable<SmallFile>,
  options: BatchOptions = {},
): AsyncGenerator<SmallFileResult, void, void> {
  const { batch } = await client.call('getUploadLimits', { ...signalOf(options.signal) });
  const { parallel = 2, groupBytes = GROUP_BYTES } = options;
  const limits = { ...batch, max_bytes: Math.min(batch.max_bytes, groupBytes) };
  const ended = new AbortController();
  const signal =
    options.signal === undefined ? ended.signal : AbortSignal.any([options.signal, ended.signal]);
  const underWay: Promise<SmallFileResult[]>[] = [];
  try {
    for await (const group of grouped(files, limits, signal)) {
      const sent = send(client, group, signal);
      // It is awaited in its turn; until then a failure is nobody's surprise.
      sent.catch(() => undefined);
      underWay.push(sent);
      if (underWay.length >= parallel) yield* (await underWay.shift()) ?? [];
    }
    while (underWay.length > 0) yield* (await underWay.shift()) ?? [];
  } finally {
    ended.abort();
    await Promise.allSettled(underWay);
  }
}

interface Group {
  frames: Uint8Array[];
  bytes: number;
  /** In order: what is known already, or undefined for what the hub is asked. */
  results: (SmallFileResult | undefined)[];
}

async function* grouped(
  files: AsyncIterable<SmallFile>,
  limits: { max_files: number; max_bytes: number; max_file_bytes: number },
  signal: AbortSignal,
): AsyncGenerator<Group, void, void> {
  let group: Group = { frames: [], bytes: 0, results: [] };
  for await (const file of files) {
    if (signal.aborted) throw cancelledBy(signal);
    const framed = await frame(file, limits.max_file_bytes);
    const bytes = 'status' in framed ? 0 : framed.header.byteLength + framed.bytes.byteLength;
    if (
      group.results.length >= limits.max_files ||
      (group.bytes > 0 && group.bytes + bytes > limits.max_bytes)
    ) {
      yield group;
      group = { frames: [], bytes: 0, results: [] };
    }
    if ('status' in framed) {
      group.results.push(framed);
      continue;
    }
    group.frames.push(framed.header, framed.bytes);
    group.bytes += bytes;
    group.results.push(undefined);
  }
  if (group.results.length > 0) yield group;
}

async function frame(
  file: SmallFile,
  mostBytes: number,
): Promise<SmallFileResult | { header: Uint8Array; bytes: Uint8Array }> {
  const { hostname, filepath, size, mtime, mode } = file;
  const refused = (code: string, detail: string): SmallFileResult => ({
    ...{ filepath, hostname, status: 'refused', sha256: '', code, detail },
  });
  if (size > mostBytes)
    return refused('too_large', `${filepath} has ${size} bytes, too many for a batch; send it in chunks.`);
  let bytes: Uint8Array;
  try {
    bytes = await file.read();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return refused('file_not_found', `${filepath} cannot be read: ${reason}`);
  }
  if (bytes.byteLength !== size)
    return refused('conflict', `${filepath} changed while it was read; send it again when it is at rest.`);
  const { hex } = await sha256Of(new Uint8Array(bytes));
  const header = batchHeader({
    ...{ hostname, filepath, sha256: hex, size },
    ...(mtime === undefined ? {} : { mtime }),
    ...(mode === undefined ? {} : { mode }),
  });
  if (header.byteLength > MAX_BATCH_HEADER_BYTES)
    return refused('invalid_request', `The names of ${filepath} are too long.`);
  return { header, bytes };
}

async function send(client: HubClient, group: Group, signal: AbortSignal): Promise<SmallFileResult[]> {
  if (group.frames.length === 0) return group.results.filter((result) => result !== undefined);
  const body = joined(group.frames, group.bytes);
  const { files } = await client.call('uploadBatch', { body, signal });
  const answers = files.values();
  return group.results.map((known) => {
    const result = known ?? answers.next().value;
    if (result === undefined)
      throw new HoldfastError(
        'internal',
        'The hub answered for fewer files than it was sent. Send them again.',
      );
    return result;
  });
}

function signalOf(signal: AbortSignal | undefined): { signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}
