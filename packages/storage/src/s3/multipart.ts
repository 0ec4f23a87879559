import { throwIfCancelled } from '@holdfast/bytes/durable-file';
import type { Bucket } from './bucket.ts';
import { s3Error } from './failure.ts';
import type { PartBuffers } from './part-buffers.ts';
import type { PartPlan } from './part-plan.ts';
import type { GatheredPart, SourceReader } from './source-reader.ts';
import { removeRecord, writeRecord } from './upload-record.ts';
import { abortUpload, completeUpload, createUpload, uploadPart } from './uploads.ts';
import type { StoredPart, UploadHandle } from './uploads.ts';

export interface MultipartOptions {
  bucket: Bucket;
  key: string;
  metadata: Record<string, string>;
  /** Name of the record in the staging area. */
  recordName: string;
  plan: PartPlan;
  doing: string;
  /** Stops everything; fired by `stop` too, with the first part's failure as its reason. */
  signal: AbortSignal;
  stop: AbortController;
}

/** A multipart upload under way: several parts in flight, each from a buffer of its own. */
export class MultipartUpload {
  readonly #options: MultipartOptions;
  readonly #handle: UploadHandle;
  readonly #buffers: PartBuffers;
  readonly #parts: StoredPart[] = [];
  readonly #pending = new Set<Promise<void>>();
  #lastNumber = 0;

  private constructor(options: MultipartOptions, handle: UploadHandle, buffers: PartBuffers) {
    this.#options = options;
    this.#handle = handle;
    this.#buffers = buffers;
  }

  /** Begins an upload and leaves a record of it, by which a sweep can abort it after a crash. */
  static async begin(options: MultipartOptions, buffers: PartBuffers): Promise<MultipartUpload> {
    const { bucket, key, metadata, recordName, doing, signal } = options;
    const call = { doing, signal, patience: 'long' } as const;
    const handle = await createUpload(bucket.connection, key, metadata, {}, call);
    const upload = new MultipartUpload(options, handle, buffers);
    try {
      await writeRecord(bucket, recordName, handle, call);
      return upload;
    } catch (error) {
      await upload.abort(error);
      throw error;
    }
  }

  /**
   * Sends a part that was gathered before the upload began, then the rest of the source.
   * @param buffer where the first part is, when it came from the buffers
   */
  async sendAll(
    first: GatheredPart,
    buffer: Buffer | undefined,
    reader: SourceReader,
    check: (bytes: number) => void,
  ): Promise<void> {
    const { plan, signal, doing } = this.#options;
    this.#send(first, buffer);
    while (await reader.hasMore()) {
      const next = this.#lastNumber + 1;
      const memory = await this.#buffers.take(plan.partBytes(next), plan.buffers(next));
      let part: GatheredPart;
      try {
        part = await reader.fill(memory, check);
      } catch (error) {
        this.#buffers.give(memory);
        throw error;
      }
      this.#send(part, memory);
    }
    await Promise.all(this.#pending);
    throwIfCancelled(signal, doing);
  }

  #send(part: GatheredPart, buffer: Buffer | undefined): void {
    const { bucket, doing, signal, stop } = this.#options;
    this.#lastNumber += 1;
    const call = { doing, signal, patience: 'long' } as const;
    const sending = uploadPart(bucket.connection, this.#handle, this.#lastNumber, part, call)
      .then((stored) => void this.#parts.push(stored))
      .catch((error: unknown) => {
        // Once stopped, the others fail of that alone.
        if (!signal.aborted) stop.abort(s3Error(error, doing, 'write'));
      })
      .finally(() => {
        this.#pending.delete(sending);
        this.#buffers.give(buffer);
      });
    this.#pending.add(sending);
  }

  /**
   * Joins the parts; the object appears whole, in one step.
   * @param landed tells whether an earlier try took effect
   */
  async complete(ifAbsent: boolean, landed: () => Promise<true | undefined>): Promise<void> {
    const { bucket, recordName, doing, signal } = this.#options;
    const parts = this.#parts.toSorted((a, b) => a.partNumber - b.partNumber);
    const call = { doing, signal, patience: 'long' } as const;
    await completeUpload(bucket.connection, this.#handle, parts, ifAbsent, call, landed);
    await bucket.cleanUp(`The record ${recordName} of a finished upload`, undefined, (patience) =>
      removeRecord(bucket, recordName, { doing, patience }),
    );
  }

  /** Gives the upload up and has the server forget its parts. Never throws. */
  async abort(cause: unknown): Promise<void> {
    const { bucket, recordName, doing, stop } = this.#options;
    stop.abort(cause);
    // A part that arrives after the abort would stay for good.
    await Promise.all(this.#pending);
    await bucket.cleanUp(`The upload of ${this.#handle.key} that failed`, cause, async (patience) => {
      await abortUpload(bucket.connection, this.#handle, { doing, patience });
      await removeRecord(bucket, recordName, { doing, patience });
    });
  }
}
