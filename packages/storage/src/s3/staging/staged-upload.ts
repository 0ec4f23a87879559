import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import type {
  Received,
  ReceivedPiece,
  ReceiveOptions,
  StagedUpload as StagedUploadContract,
  StagedUploadKey,
} from '../../contents.ts';
import { requireWhole } from '../../contents/pieces.ts';
import { abortUpload } from '../uploads.ts';
import { copyIntoVault } from './publishing.ts';
import type { SealedDigest, UploadSession } from './upload-session.ts';

/** An upload under way, for one caller: the session is shared with others of this process. */
export class StagedUpload implements StagedUploadContract {
  readonly #upload: StagedUploadKey;
  readonly #session: UploadSession;
  readonly #removeLocal: () => Promise<void>;
  readonly #leave: () => Promise<void>;
  #hasLeft = false;

  /**
   * @param removeLocal removes what this hub has of it
   * @param leave tells that this caller has ended
   */
  constructor(
    upload: StagedUploadKey,
    session: UploadSession,
    removeLocal: () => Promise<void>,
    leave: () => Promise<void>,
  ) {
    this.#upload = upload;
    this.#session = session;
    this.#removeLocal = removeLocal;
    this.#leave = leave;
  }

  get hashed(): number {
    return this.#session.hashed;
  }

  prefixGrew(end: number): void {
    this.#session.prefixGrew(end);
  }

  async receive(
    position: number,
    source: AsyncIterable<Uint8Array>,
    options: ReceiveOptions,
  ): Promise<Received> {
    const { bucket } = this.#session.staged;
    // Closing the backend ends what is under way, too.
    const signal = bucket.connection.signalFor(options.signal);
    throwIfCancelled(signal, 'Receiving bytes of an upload');
    return this.#session.receive(position, source, { ...options, signal });
  }

  async seal(
    size: number,
    pieces: readonly ReceivedPiece[],
    options: { signal?: AbortSignal } = {},
  ): Promise<SealedDigest> {
    const signal = this.#session.staged.bucket.connection.signalFor(options.signal);
    requireWhole(this.#upload, size, pieces);
    return this.#session.seal(size, pieces, signal);
  }

  async publish(sha256: string, size: number): Promise<{ stored: boolean }> {
    const { bucket, key, id } = this.#session.staged;
    const doing = `Publishing the upload ${id}`;
    const call = { doing, patience: 'long' } as const;
    const stored = await bucket.run(doing, 'write', undefined, () =>
      copyIntoVault(bucket, key, { sha256, size }, call),
    );
    await bucket.cleanUp(`The staged object ${key}`, undefined, (patience) =>
      this.#session.staged.remove({ doing, patience }),
    );
    return { stored };
  }

  async *stream(options: { signal?: AbortSignal } = {}): AsyncGenerator<Uint8Array> {
    const { staged } = this.#session;
    const doing = `Reading the upload ${staged.id}`;
    const { signal } = options;
    const file = await staged.bucket.run(doing, 'read', signal, () =>
      staged.open({ doing, signal, patience: 'long' }),
    );
    yield* file.stream(undefined, options);
  }

  async discard(): Promise<void> {
    const { staged, uploadId } = this.#session;
    const { bucket, key, id } = staged;
    // A part that arrives behind the abort would stay for good.
    await this.#session[Symbol.asyncDispose]();
    const doing = `Discarding the upload ${id}`;
    const call = { doing, patience: 'brief' } as const;
    await bucket.run(doing, 'write', undefined, async () => {
      if (uploadId !== undefined) await abortUpload(bucket.connection, { key, uploadId }, call);
      await staged.remove(call);
    });
    await this.#removeLocal();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#hasLeft) return;
    this.#hasLeft = true;
    await this.#leave();
  }
}
