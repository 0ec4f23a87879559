import { HoldfastError } from '@holdfast/contract/errors';
import type { ContentArea, SmallContent, StagedUpload, StoredContent } from '../../contents.ts';
import type { Handlers } from '../calls/answerer.ts';
import type { contentMethods } from '../calls/content-methods.ts';
import { toWireError } from '../wire-error.ts';

type VolumeOf = { volumeId: string; ownerId: string };
type UploadOf = VolumeOf & {
  upload: { id: string; size: number | null; chunkSize: number | null };
};

/** The operations on the vault and the uploads of a mounted volume, for callers in another process. */
export class ContentHandlers {
  readonly #areaOf: (volume: VolumeOf) => ContentArea;
  readonly #uploads = new Map<string, Promise<StagedUpload>>();
  readonly #streams = new Map<number, AsyncIterator<Uint8Array>>();
  #lastStreamId = 0;

  constructor(areaOf: (volume: VolumeOf) => ContentArea) {
    this.#areaOf = areaOf;
  }

  /** Lets go of every upload. */
  async releaseAll(): Promise<void> {
    for (const streamId of [...this.#streams.keys()]) await this.#endStream(streamId);
    const uploads = [...this.#uploads.values()];
    this.#uploads.clear();
    await Promise.all(
      uploads.map(async (upload) => (await upload.catch(() => undefined))?.[Symbol.asyncDispose]()),
    );
  }

  readonly handlers: Pick<Handlers, keyof typeof contentMethods> = {
    createUpload: async (params) => void (await this.#areaOf(params).staging.create(params.upload)),
    resumeUpload: async (params) => {
      await this.#forget(params);
      await this.#upload(params);
    },
    listUploads: async ({ after, limit, ...params }) =>
      (await this.#areaOf(params).staging.list())
        .filter(({ id }) => id > after)
        .toSorted((a, b) => (a.id < b.id ? -1 : 1))
        .slice(0, limit)
        .map(({ id, touchedAt }) => ({ id, touchedAtMs: touchedAt.getTime() })),
    receive: async (params, { signal, source }) => {
      const { position, length, limit, expectedSha256, keepPartial } = params;
      const upload = await this.#upload(params);
      const received = await upload.receive(position, source, {
        ...(length === undefined ? {} : { length }),
        ...(limit === undefined ? {} : { limit }),
        ...(expectedSha256 === undefined ? {} : { expectedSha256 }),
        ...(keepPartial === undefined ? {} : { keepPartial }),
        signal,
      });
      return { ...received, hashed: upload.hashed };
    },
    prefixGrew: async (params) => {
      const upload = await this.#upload(params);
      upload.prefixGrew(params.end);
      return { hashed: upload.hashed };
    },
    sealUpload: async (params, { signal }) => {
      const { wholeSize } = params;
      // The caller has looked at the pieces themselves.
      const whole = [{ position: 0, bytes: wholeSize, receipt: null }];
      return (await this.#upload(params)).seal(wholeSize, whole, { signal });
    },
    publishUpload: async (params) => {
      const upload = await this.#upload(params);
      return upload.publish(params.sha256, params.wholeSize);
    },
    discardUpload: async (params) => {
      const upload = await this.#upload(params).catch((error: unknown) => {
        if (error instanceof HoldfastError && error.code === 'file_not_found') return undefined;
        throw error;
      });
      await upload?.discard();
      await this.#forget(params);
    },
    releaseUpload: (params) => this.#forget(params),
    streamStaged: async (params) => {
      this.#lastStreamId += 1;
      const stream = (await this.#upload(params)).stream();
      this.#streams.set(this.#lastStreamId, stream[Symbol.asyncIterator]());
      return { streamId: this.#lastStreamId };
    },
    nextStaged: async ({ streamId }) => {
      const step = await this.#streams.get(streamId)?.next();
      if (step === undefined) {
        throw new HoldfastError(
          'backend_unavailable',
          'The upload is not being read any more. Read it again.',
        );
      }
      return step.done === true ? Buffer.alloc(0) : Buffer.from(step.value);
    },
    endStaged: ({ streamId }) => this.#endStream(streamId),
    statContent: async (params, { signal }) => {
      const content = await this.#areaOf(params).stat(params.sha256, { signal });
      return content && toWireContent(content);
    },
    storeContent: (params, { signal, source }) => {
      const { expectedSha256, expectedSize } = params;
      return this.#areaOf(params).store(source, {
        ...(expectedSha256 === undefined ? {} : { expectedSha256 }),
        ...(expectedSize === undefined ? {} : { expectedSize }),
        signal,
      });
    },
    storeContents: async (params, { signal, source }) => {
      const contents = await gather(params.contents, source);
      const outcomes = await this.#areaOf(params).storeMany(contents, { signal });
      return outcomes.map((outcome) =>
        'error' in outcome ? { refused: toWireError(outcome.error) } : outcome,
      );
    },
    removeContent: (params) => this.#areaOf(params).remove(params.sha256),
    listContents: async (params) => {
      const { after, limit } = params;
      const page = await this.#areaOf(params).list({ limit, ...(after === undefined ? {} : { after }) });
      return { ...page, contents: page.contents.map(toWireContent) };
    },
  };

  /** The upload of a key; whoever asks first has it resumed, also after the process was started anew. */
  async #upload(params: UploadOf): Promise<StagedUpload> {
    const key = keyOf(params);
    const known = this.#uploads.get(key);
    if (known !== undefined) return known;
    const resuming = this.#areaOf(params).staging.resume({ ...params.upload, state: {} });
    this.#uploads.set(key, resuming);
    resuming.catch(() => {
      if (this.#uploads.get(key) === resuming) this.#uploads.delete(key);
    });
    return resuming;
  }

  async #forget(params: UploadOf): Promise<null> {
    const upload = this.#uploads.get(keyOf(params));
    this.#uploads.delete(keyOf(params));
    await (await upload?.catch(() => undefined))?.[Symbol.asyncDispose]();
    return null;
  }

  async #endStream(streamId: number): Promise<null> {
    const stream = this.#streams.get(streamId);
    this.#streams.delete(streamId);
    await stream?.return?.();
    return null;
  }
}

function keyOf({ volumeId, ownerId, upload }: UploadOf): string {
  return JSON.stringify([volumeId, ownerId, upload]);
}

function toWireContent({ storedAt, ...content }: StoredContent): object {
  return { ...content, storedAtMs: storedAt.getTime() };
}

/** Cuts the bytes that come into the contents that were announced. */
async function gather(
  announced: readonly { sha256: string; size: number }[],
  source: AsyncIterable<Uint8Array>,
): Promise<SmallContent[]> {
  const whole = Buffer.allocUnsafeSlow(announced.reduce((sum, { size }) => sum + size, 0));
  let filled = 0;
  for await (const chunk of source) {
    whole.set(chunk, filled);
    filled += chunk.byteLength;
  }
  let start = 0;
  return announced.map(({ sha256, size }) => {
    const bytes = whole.subarray(start, start + size);
    start += size;
    return { sha256, bytes };
  });
}
