import { join } from 'node:path';
import { sha256Hex } from '@holdfast/bytes/sha256';
import { uploadSmallFiles } from '@holdfast/client/batch';
import type { SmallFile } from '@holdfast/client/batch';
import { uploadFile } from '@holdfast/client/node/upload-file';
import { HoldfastError, isErrorCode } from '@holdfast/contract/errors';
import { MAX_BATCH_FILE_BYTES } from '@holdfast/contract/uploads';
import type { SyncAction } from './entry.ts';
import { openPlanned, plannedBytes, requireUnchanged } from './local-file.ts';
import { forEachParallel } from './parallel.ts';
import { hostPathProblem } from './remote-tree.ts';
import { attempt, LANES, noteFailure } from './work.ts';
import type { SyncWork } from './work.ts';

/** Files below this size go to a backend in one request. */
const SINGLE_REQUEST_BYTES = 8 * 1024 * 1024;
const sent = ['create', 'replace', 'touch'] as const;

/** Sends all files of the plan: small ones in batches (host files) or by parallel requests (backends), large ones in chunks. */
export async function sendAll(work: SyncWork): Promise<void> {
  const { place, plan } = work;
  const smallest = place.kind === 'hub' ? MAX_BATCH_FILE_BYTES : SINGLE_REQUEST_BYTES;
  const small = plan.actions({ kinds: sent, to: smallest });
  if (place.kind === 'hub') await sendBatches(work, small);
  else await forEachParallel(small, LANES, (action) => sendOne(work, action));
  for (const action of plan.actions({ kinds: sent, from: smallest + 1 })) await sendOne(work, action);
}

/** Sends one file, whatever its size. */
export async function sendOne(work: SyncWork, action: SyncAction): Promise<void> {
  const isSmall = work.place.kind === 'backend' && action.file.size <= SINGLE_REQUEST_BYTES;
  await attempt(work, action, () => (isSmall ? sendWhole(work, action) : sendChunks(work, action)));
}

async function sendWhole({ client, place, root, hashes }: SyncWork, { file }: SyncAction): Promise<void> {
  if (place.kind !== 'backend') throw new TypeError('Host files go in batches or in chunks.');
  const body = await plannedBytes(join(root, file.path), file);
  const sha256 = sha256Hex(body);
  await client.call('uploadFile', {
    params: { id: place.backendId },
    query: { path: place.pathOf(file.path) },
    headers: { 'x-expected-checksum-sha256': sha256 },
    body: () => body,
  });
  hashes.remember(file, sha256);
}

async function sendChunks(work: SyncWork, { file }: SyncAction): Promise<void> {
  const { client, place, root, hashes, stateDir, signal, tally } = work;
  const path = place.pathOf(file.path);
  if (place.kind === 'hub') requireHostPath(path);
  const absolute = join(root, file.path);
  // Held open, so that the file that was planned with and the one that was sent can be compared.
  await using handle = await openPlanned(absolute, file);
  const { sha256 } = await uploadFile(client, absolute, {
    to:
      place.kind === 'hub'
        ? { hostname: place.hostname, filepath: path }
        : { destination_path: path, backend_id: place.backendId, overwrite: true },
    stateDir,
    signal,
    onProgress: ({ bytes }) => tally.partly(bytes),
    onWaiting: ({ error, retryInMs }) =>
      tally.say(`${error.message} Trying again in ${Math.ceil(retryInMs / 1000)} s.`),
  });
  requireUnchanged(file, await handle.stat({ bigint: true }));
  hashes.remember(file, sha256);
}

async function sendBatches(work: SyncWork, actions: Iterable<SyncAction>): Promise<void> {
  const { client, hashes, signal, tally } = work;
  const underWay: SyncAction[] = [];
  const failures = new Map<SyncAction, unknown>();
  let answered = 0;
  for await (const result of uploadSmallFiles(client, batchFiles(work, actions, underWay, failures), {
    signal,
  })) {
    const action = underWay[answered];
    if (action === undefined) throw new TypeError('The hub answered for a file that was not sent.');
    answered += 1;
    if (answered === 1024) {
      underWay.splice(0, answered);
      answered = 0;
    }
    if (result.status !== 'refused') {
      hashes.remember(action.file, result.sha256);
      tally.done(action);
      continue;
    }
    const code = result.code !== undefined && isErrorCode(result.code) ? result.code : 'internal';
    const own = failures.get(action);
    failures.delete(action);
    noteFailure(work, action, own ?? new HoldfastError(code, result.detail ?? 'The hub refused it.'));
  }
}

/** Files for a batch; each is noted in `underWay` when it is drawn, and why it could not be read in `failures`. */
async function* batchFiles(
  work: SyncWork,
  actions: Iterable<SyncAction>,
  underWay: SyncAction[],
  failures: Map<SyncAction, unknown>,
): AsyncGenerator<SmallFile> {
  const { place, root } = work;
  if (place.kind !== 'hub') throw new TypeError('Batches are for host files.');
  for (const action of actions) {
    const { file } = action;
    const filepath = place.pathOf(file.path);
    underWay.push(action);
    yield {
      hostname: place.hostname,
      filepath,
      size: file.size,
      ...(file.mode === null ? {} : { mode: file.mode }),
      ...(file.mtimeMs === null ? {} : { mtime: new Date(file.mtimeMs).toISOString() }),
      read: async () => {
        try {
          requireHostPath(filepath);
          return await plannedBytes(join(root, file.path), file);
        } catch (error) {
          failures.set(action, error);
          throw error;
        }
      },
    };
  }
}

function requireHostPath(path: string): void {
  const problem = hostPathProblem(path);
  if (problem !== null) throw new HoldfastError('invalid_path', problem);
}
