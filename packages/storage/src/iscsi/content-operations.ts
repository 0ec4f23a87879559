import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import type {
  ContentArea,
  Received,
  ReceivedPiece,
  ReceiveOptions,
  SmallContent,
  StagedUpload,
  StagedUploadKey,
} from '../contents.ts';
import { fileAdvice } from '../contents/advice.ts';
import { requireContentName, requireUploadId } from '../contents/content-names.ts';
import { requireWhole } from '../contents/pieces.ts';
import { pieceLabel } from '../contents/receiving.ts';
import type { Caller } from './calls/caller.ts';
import { MAX_LISTED } from './calls/content-methods.ts';
import { fedCall } from './calls/fed-call.ts';
import type { ParamsOf } from './calls/methods.ts';
import { RemoteFile } from './calls/remote-file.ts';
import { fromWireError, wireError } from './wire-error.ts';

type Connect = (signal?: AbortSignal) => Promise<Caller>;
type Volume = { volumeId: string; ownerId: string };

/** Bytes and contents of one call of `storeMany`; its parameters have to fit into a frame. */
const BATCH_BYTES = 8 * 1024 * 1024;
const BATCH_CONTENTS = 2000;

/** The vault of a mounted LUN. @param connect gives the channel to the process that has the LUN mounted */
export function contentOperations(connect: Connect, volume: Volume): ContentArea {
  return {
    staging: {
      advice: fileAdvice,
      create: async ({ id, size, chunkSize }) => {
        requireUploadId(id);
        const label = `Making room for the upload ${id}`;
        await (
          await connect()
        ).call('createUpload', { ...volume, upload: { id, size, chunkSize } }, { label });
        return {};
      },
      resume: async (key) => {
        requireUploadId(key.id);
        const upload = new RemoteUpload(connect, volume, key);
        await upload.resume();
        return upload;
      },
      list: () => listUploads(connect, volume),
    },
    stat: async (sha256, { signal } = {}) => {
      requireContentName(sha256);
      const label = `Looking at the content ${sha256}`;
      throwIfCancelled(signal, label);
      return (await connect(signal)).call('statContent', { ...volume, sha256 }, { signal, label });
    },
    open: async (sha256, { signal } = {}) => {
      requireContentName(sha256);
      const label = `Opening the content ${sha256}`;
      throwIfCancelled(signal, label);
      const caller = await connect(signal);
      const opening = caller.begin('openContent', { ...volume, sha256 });
      const { fileId, entry } = await caller.finish('openContent', opening);
      const file = new RemoteFile(caller, fileId, entry);
      if (signal?.aborted === true) await file[Symbol.asyncDispose]();
      throwIfCancelled(signal, label);
      return file;
    },
    store: async (source, { expectedSha256, expectedSize, signal } = {}) => {
      const params = { ...volume, expectedSha256, expectedSize };
      const feed = { label: 'Storing a content', signal };
      throwIfCancelled(signal, feed.label);
      return (await fedCall(await connect(signal), 'storeContent', params, source, feed)).result;
    },
    storeMany: async (contents, { signal } = {}) => {
      for (const { sha256 } of contents) requireContentName(sha256);
      const outcomes: ({ stored: boolean } | { error: Error })[] = [];
      for (const batch of batchesOf(contents)) {
        outcomes.push(...(await storeBatch(await connect(signal), volume, batch, signal)));
      }
      return outcomes;
    },
    remove: async (sha256) => {
      requireContentName(sha256);
      const label = `Removing the content ${sha256}`;
      return (await connect()).call('removeContent', { ...volume, sha256 }, { label });
    },
    list: async ({ after, limit }) => {
      const params = { ...volume, after, limit: Math.min(limit, MAX_LISTED) };
      const { contents, next } = await (
        await connect()
      ).call('listContents', params, { label: 'Listing the vault' });
      return next === undefined ? { contents } : { contents, next };
    },
  };
}

async function listUploads(connect: Connect, volume: Volume): ReturnType<ContentArea['staging']['list']> {
  const uploads: Awaited<ReturnType<ContentArea['staging']['list']>> = [];
  for (let after = ''; ;) {
    const params = { ...volume, after, limit: MAX_LISTED };
    const page = await (await connect()).call('listUploads', params, { label: 'Listing the uploads' });
    for (const { id, touchedAtMs } of page) uploads.push({ id, state: {}, touchedAt: new Date(touchedAtMs) });
    const last = page.at(-1);
    if (last === undefined || page.length < MAX_LISTED) return uploads;
    after = last.id;
  }
}

function* batchesOf(contents: readonly SmallContent[]): Generator<SmallContent[]> {
  let batch: SmallContent[] = [];
  let bytes = 0;
  for (const content of contents) {
    batch.push(content);
    bytes += content.bytes.byteLength;
    if (bytes < BATCH_BYTES && batch.length < BATCH_CONTENTS) continue;
    yield batch;
    [batch, bytes] = [[], 0];
  }
  if (batch.length > 0) yield batch;
}

async function storeBatch(
  caller: Caller,
  volume: Volume,
  batch: readonly SmallContent[],
  signal: AbortSignal | undefined,
): Promise<({ stored: boolean } | { error: Error })[]> {
  async function* bytes(): AsyncGenerator<Uint8Array> {
    for (const content of batch) yield content.bytes;
  }
  const contents = batch.map((content) => ({ sha256: content.sha256, size: content.bytes.byteLength }));
  const feed = { label: 'Storing contents', signal };
  const { result } = await fedCall(caller, 'storeContents', { ...volume, contents }, bytes(), feed);
  return result.map((outcome) =>
    'stored' in outcome ? outcome : { error: fromWireError(wireError.parse(outcome.refused)) },
  );
}

/** An upload that another process writes. It can be asked by any process that has the LUN mounted, also by the next one. */
class RemoteUpload implements StagedUpload {
  readonly #connect: Connect;
  readonly #key: StagedUploadKey;
  readonly #params: ParamsOf<'resumeUpload'>;
  /** The process that was asked last. */
  #caller: Caller | undefined;
  #hashed = 0;

  constructor(connect: Connect, volume: Volume, key: StagedUploadKey) {
    const { id, size, chunkSize } = key;
    this.#connect = connect;
    this.#key = key;
    this.#params = { ...volume, upload: { id, size, chunkSize } };
  }

  async resume(): Promise<void> {
    const label = `Going on with the upload ${this.#key.id}`;
    await (await this.#connected()).call('resumeUpload', this.#params, { label });
  }

  async receive(
    position: number,
    source: AsyncIterable<Uint8Array>,
    options: ReceiveOptions,
  ): Promise<Received> {
    const { length, limit, expectedSha256, keepPartial, signal } = options;
    const label = pieceLabel(this.#key, position);
    throwIfCancelled(signal, label);
    const params = { ...this.#params, position, length, limit, expectedSha256, keepPartial };
    const watched = options.onProgress === undefined ? source : withProgress(source, options.onProgress);
    const feed = { label, signal, keepPartial };
    const { result, isBroken } = await fedCall(
      await this.#connected(signal),
      'receive',
      params,
      watched,
      feed,
    );
    this.#hashed = result.hashed;
    const { bytes, sha256, complete } = result;
    return { bytes, sha256, complete: complete && !isBroken };
  }

  prefixGrew(end: number): void {
    const label = `Hashing the upload ${this.#key.id}`;
    const telling = this.#connected().then((caller) =>
      caller.call('prefixGrew', { ...this.#params, end }, { label }),
    );
    // What is not hashed now is hashed when it is sealed, where there is somebody to be told of a failure.
    telling.then(
      ({ hashed }) => {
        this.#hashed = hashed;
      },
      () => undefined,
    );
  }

  get hashed(): number {
    return this.#hashed;
  }

  async seal(
    size: number,
    pieces: readonly ReceivedPiece[],
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<{ sha256: string }> {
    requireWhole(this.#key, size, pieces);
    const label = `Sealing the upload ${this.#key.id}`;
    throwIfCancelled(signal, label);
    const params = { ...this.#params, wholeSize: size };
    const sealed = await (await this.#connected(signal)).call('sealUpload', params, { signal, label });
    this.#hashed = size;
    return sealed;
  }

  async publish(sha256: string, size: number): Promise<{ stored: boolean }> {
    const label = `Publishing the upload ${this.#key.id}`;
    const params = { ...this.#params, sha256, wholeSize: size };
    return (await this.#connected()).call('publishUpload', params, { label });
  }

  async *stream({ signal }: { signal?: AbortSignal } = {}): AsyncGenerator<Uint8Array> {
    const label = `Reading the upload ${this.#key.id}`;
    throwIfCancelled(signal, label);
    const caller = await this.#connected(signal);
    const { streamId } = await caller.call('streamStaged', this.#params, { label });
    try {
      for (;;) {
        const bytes = await caller.callForBytes('nextStaged', { streamId }, { signal, label });
        if (bytes.byteLength === 0) return;
        yield bytes;
      }
    } finally {
      // With the process that reads it, the reading is gone too.
      await caller.call('endStaged', { streamId }, { label }).catch(() => undefined);
    }
  }

  async discard(): Promise<void> {
    const label = `Discarding the upload ${this.#key.id}`;
    await (await this.#connected()).call('discardUpload', this.#params, { label });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const label = `Letting go of the upload ${this.#key.id}`;
    // With the process that has it open, it is let go of too: none is started for that.
    await this.#caller?.call('releaseUpload', this.#params, { label }).catch(() => undefined);
  }

  async #connected(signal?: AbortSignal): Promise<Caller> {
    this.#caller = await this.#connect(signal);
    return this.#caller;
  }
}

async function* withProgress(
  source: AsyncIterable<Uint8Array>,
  onProgress: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  let taken = 0;
  for await (const chunk of source) {
    yield chunk;
    taken += chunk.byteLength;
    onProgress(taken);
  }
}
