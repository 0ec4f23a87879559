import { chunkPlace } from '@holdfast/bytes/chunk-plan';
import type { ChunkPlan } from '@holdfast/bytes/chunk-plan';
import type { ChunkSet } from '@holdfast/bytes/chunk-set';
import { isHoldfastError } from '@holdfast/contract/errors';
import type { ChunkSender } from './chunk-sender.ts';
import type { ChunkSums } from './chunk-sums.ts';
import { isPassing } from './client.ts';
import type { Patience } from './patience.ts';
import { changed } from './upload-source.ts';
import type { UploadSource } from './upload-source.ts';

/** Damage on the way of one chunk that is taken for bad luck. */
const MOST_DAMAGED = 5;
/** What an attempt may take: 30 s, and the time that a link of 32 KiB/s needs. */
const PATIENT_MS = 30_000;
const SLOWEST_BYTES_PER_MS = 32;

export interface SendingOptions {
  sender: ChunkSender;
  source: Pick<UploadSource, 'name'>;
  uploadId: string;
  plan: ChunkPlan;
  /** Chunks that the hub has; grows. */
  received: ChunkSet;
  /** Of the chunks whose sums are known; those that are sent are added. */
  sums: ChunkSums;
  patience: Patience;
  signal: AbortSignal;
  /** Chunks in flight at once. */
  parallel: number;
  /** Bytes that went to the network, long before they are known to have arrived; negative when they turn out to be lost. */
  onMoved: (bytes: number) => void;
  /** A chunk has arrived, all of whose bytes are counted as moved. */
  onArrived: () => void;
  /** Chunks that turn out to have arrived although their answer was lost. */
  onFound: (bytes: number) => void;
  /** Asks the hub which chunks it has. */
  refresh: () => Promise<readonly (readonly [number, number])[]>;
}

/**
 * Sends the chunks that the hub does not have, several at once. After a failure the hub is asked what it has, so that nothing is sent
 * that has arrived.
 * @throws HoldfastError as the hub refuses; `conflict` for a file that changed
 */
export async function sendChunks(options: SendingOptions): Promise<void> {
  const { received, parallel } = options;
  const failure = new AbortController();
  const signal = AbortSignal.any([options.signal, failure.signal]);
  let next = 0;
  let refreshing: Promise<void> | undefined;
  const takeNext = (): number | undefined => {
    while (next < received.total && received.has(next)) next += 1;
    return next < received.total ? next++ : undefined;
  };
  const refreshOnce = async (): Promise<void> => {
    refreshing ??= reconcile(options).finally(() => {
      refreshing = undefined;
    });
    await refreshing;
  };
  const work = async (): Promise<void> => {
    for (let num = takeNext(); num !== undefined; num = takeNext())
      await sendOne({ ...options, signal }, num, refreshOnce);
  };
  const workers = Array.from({ length: Math.min(parallel, received.total) }, async () => {
    try {
      await work();
    } catch (error) {
      // The first failure ends the others; theirs are only its consequence.
      failure.abort(error);
      throw error;
    }
  });
  await Promise.allSettled(workers);
  if (failure.signal.aborted) throw failure.signal.reason;
}

async function sendOne(options: SendingOptions, num: number, refresh: () => Promise<void>): Promise<void> {
  const { sender, source, uploadId, plan, received, sums, patience, signal, onMoved } = options;
  const place = chunkPlace(plan, num);
  if (place === undefined) return;
  let damaged = 0;
  while (!received.has(num)) {
    let moved = 0;
    const move = (bytes: number): void => {
      moved += bytes;
      onMoved(bytes);
    };
    try {
      const sum = await sender.send({
        ...{ uploadId, num, ...place, signal, sha256: sums.get(num) },
        timeoutMs: PATIENT_MS + place.length / SLOWEST_BYTES_PER_MS,
        onMoved: move,
      });
      sums.set(num, sum);
      patience.progressed();
      // When it is known already, it has been counted as found.
      if (received.add(num)) {
        move(place.length - moved);
        options.onArrived();
      } else move(-moved);
    } catch (error) {
      move(-moved);
      if (isHoldfastError(error, 'chunk_conflict')) throw changed(source, error);
      if (isHoldfastError(error, 'checksum_mismatch')) {
        damaged += 1;
        if (damaged === MOST_DAMAGED) throw error;
      } else if (!isLost(error)) throw error;
      await patience.wait(error);
      await refresh();
    }
  }
}

/** The chunk may have arrived or not; either way it is worth asking and sending it again. */
function isLost(error: unknown): error is Error {
  return (
    isPassing(error) || isHoldfastError(error, 'superseded') || isHoldfastError(error, 'incomplete_body')
  );
}

async function reconcile(options: SendingOptions): Promise<void> {
  const { received, plan, refresh, onFound } = options;
  for (const [first, last] of await refresh()) {
    for (let num = first; num <= last; num += 1)
      if (received.add(num)) onFound(chunkPlace(plan, num)?.length ?? 0);
  }
}
