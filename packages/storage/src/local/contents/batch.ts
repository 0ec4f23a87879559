import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import { fileSystemError } from '@holdfast/bytes/file-system-error';
import { release } from 'node:os';
import type { SmallContent } from '../../contents.ts';
import { requireContentName, VAULT_FOLDER } from '../../contents/content-names.ts';
import { mismatch } from '../../contents/small-contents.ts';
import { StagingSlot } from '../../volume/staging-slot.ts';
import type { Volume } from '../volume.ts';
import type { BatchOutcome } from './batch-job.ts';
import { storeBatch } from './batch-thread.ts';

/** Bytes of one batch that are copied for the thread. */
const BATCH_BYTES = 16 * 1024 * 1024;

type Stored = { stored: boolean } | { error: Error };

/** Before Linux 5.8, syncfs(2) does not tell of writes that have failed. */
function hasTellingSyncfs(): boolean {
  const [major = 0, minor = 0] = release().split('.').map(Number);
  return process.platform === 'linux' && (major > 5 || (major === 5 && minor >= 8));
}

const mayBarrier = hasTellingSyncfs();

/** Stores many small contents of a tree on this machine, as `ContentArea.storeMany` promises it. */
export async function storeManyLocally(
  volume: Volume,
  contents: readonly SmallContent[],
  signal: AbortSignal | undefined,
): Promise<Stored[]> {
  const results: Stored[] = [];
  for (let start = 0; start < contents.length;) {
    throwIfCancelled(signal, 'Storing contents');
    let [end, bytes] = [start, 0];
    for (; end < contents.length && (end === start || bytes < BATCH_BYTES); end += 1) {
      bytes += contents[end]?.bytes.byteLength ?? 0;
    }
    results.push(...(await storeSome(volume, contents.slice(start, end), bytes)));
    start = end;
  }
  return results;
}

async function storeSome(volume: Volume, contents: SmallContent[], bytes: number): Promise<Stored[]> {
  for (const { sha256 } of contents) requireContentName(sha256);
  await using root = await volume.enter();
  await using staging = await volume.openStaging(root);
  await using vault = await volume.openReserved(root, VAULT_FOLDER);
  using slots = new DisposableStack();
  const packed = new Uint8Array(bytes);
  let at = 0;
  const described = contents.map((content) => {
    packed.set(content.bytes, at);
    at += content.bytes.byteLength;
    const { tempName } = slots.use(new StagingSlot(volume.ownerId));
    return { sha256: content.sha256, bytes: content.bytes.byteLength, tempName };
  });
  const outcomes = await storeBatch({
    staging: staging.path,
    vault: vault.path,
    contents: described,
    packed,
    mayBarrier,
  });
  return outcomes.map((outcome, index) => storedOf(outcome, contents[index]?.sha256 ?? ''));
}

function storedOf(outcome: BatchOutcome, sha256: string): Stored {
  if (outcome.kind === 'stored') return { stored: true };
  if (outcome.kind === 'present') return { stored: false };
  if (outcome.kind === 'mismatch') return { error: mismatch(sha256, outcome.sha256) };
  const { code, message } = outcome;
  const cause = Object.assign(new Error(message), code === undefined ? {} : { code });
  const error = fileSystemError(cause, `Storing the content ${sha256}`);
  return { error };
}
