import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import { HoldfastError } from '@holdfast/contract/errors';
import type { Bucket } from './bucket.ts';
import { S3Failure, s3Error } from './failure.ts';
import type { PartBuffers } from './part-buffers.ts';
import type { GatheredPart, PartGatherer } from './part-gatherer.ts';
import type { PartPlan } from './part-plan.ts';
import { RecordedUpload } from './recorded-upload.ts';
import { uploadPart } from './uploads.ts';
import type { StoredPart } from './uploads.ts';

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
  readonly #upload: RecordedUpload;
  readonly #buffers: PartBuffers;
  readonly #parts: StoredPart[] = [];
  readonly #pending = new Set<Promise<void>>();
  #lastNumber = 0;

  private constructor(options: MultipartOptions, upload: RecordedUpload, buffers: PartBuffers) {
    this.#options = options;
    this.#upload = upload;
    this.#buffers = buffers;
  }

  /** Begins an upload and leaves a record of it, by which a sweep can abort it after a crash. */
  static async begin(options: MultipartOptions, buffers: PartBuffers): Promise<MultipartUpload> {
    const { bucket, key, metadata, recordName, doing, signal } = options;
    const call = { doing, signal, patience: 'long' } as const;
    const upload = await RecordedUpload.begin({ bucket, key, metadata, headers: {}, recordName }, call);
    return new MultipartUpload(options, upload, buffers);
  }

  /**
   * Sends a part that was gathered before the upload began, then the rest of the source.
   * @param buffer where the first part is, when it came from the buffers
   */
  async sendAll(
    first: GatheredPart,
    buffer: Buffer | undefined,
    source: PartGatherer,
    check: (bytes: number) => void,
  ): Promise<void> {
    const { plan, signal, doing } = this.#options;
    this.#send(first, buffer);
    while (await source.hasMore()) {
      const next = this.#lastNumber + 1;
      const memory = await this.#buffers.take(plan.partBytes(next), plan.buffers(next));
      let part: GatheredPart;
      try {
        part = await source.fill(memory, check);
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
    const number = this.#lastNumber;
    const call = { doing, signal, patience: 'long' } as const;
    const sending = uploadPart(bucket.connection, this.#upload.handle, number, part, call)
      .then((stored) => void this.#parts.push(stored))
      .catch((error: unknown) => {
        // Once stopped, the others fail of that alone.
        if (!signal.aborted) stop.abort(partError(error, doing, number));
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
    const { doing, signal } = this.#options;
    const parts = this.#parts.toSorted((a, b) => a.partNumber - b.partNumber);
    const call = { doing, signal, patience: 'long' } as const;
    await this.#upload.join(parts, ifAbsent, call, landed);
  }

  /** Gives the upload up and has the server forget its parts. Never throws. */
  async abort(cause: unknown): Promise<void> {
    const { doing, stop } = this.#options;
    stop.abort(cause);
    // A part that arrives after the abort would stay for good.
    await Promise.all(this.#pending);
    await this.#upload.giveUp(doing, cause);
  }
}

/** The error for a part that was refused: some servers take fewer parts than others. */
export function partError(error: unknown, doing: string, number: number): HoldfastError {
  // Nothing but its number tells a part from those before it.
  if (number === 1 || !(error instanceof S3Failure) || error.code !== 'InvalidArgument') {
    return s3Error(error, doing, 'write');
  }
  const text =
    `${doing} failed: the server takes fewer than ${number} parts of a file, so this one is too large for it. ` +
    'Have its limit raised (OpenStack Swift: max_upload_part_num).';
  return new HoldfastError('too_large', text, { cause: error });
}
