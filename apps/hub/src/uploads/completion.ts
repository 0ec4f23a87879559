import type { Catalog } from '@holdfast/catalog/catalog';
import type { Piece, Upload } from '@holdfast/catalog/uploads';
import { ChunkSet } from '@holdfast/bytes/chunk-set';
import { HoldfastError, isHoldfastError } from '@holdfast/contract/errors';
import type { Ending } from './ending.ts';
import type { Lifetime } from './lifetime.ts';
import type { LiveUploads } from './live-uploads.ts';
import type { FinishedUpload, Publication } from './publication.ts';
import {
  closedError,
  failureOf,
  isOpen,
  notFoundError,
  openStatuses,
  refusedField,
} from './session-state.ts';

/** Ranges of missing chunks that an answer names at most. */
const MOST_RANGES = 100;

export interface CompleteOptions {
  /** What the client got as etags, to be compared with what was received. */
  parts?: readonly { chunk_num: number; etag: string }[] | undefined;
  /** Of the whole, lower-case hex, when it was not announced. */
  sha256?: string | undefined;
}

/**
 * Completes uploads: all bytes there → their SHA-256 as the storage has them → committed as `completing` → published and
 * recorded. Every step can be repeated, by this hub or another one.
 */
export class Completion {
  readonly #catalog: Catalog;
  readonly #lives: LiveUploads;
  readonly #ending: Ending;
  readonly #publication: Publication;
  readonly #lifetime: Lifetime;
  readonly #stopping: AbortSignal;
  /** Of this hub: a second request waits for the answer of the first one. */
  readonly #running = new Map<string, Promise<FinishedUpload>>();

  constructor(options: {
    catalog: Catalog;
    lives: LiveUploads;
    ending: Ending;
    publication: Publication;
    lifetime: Lifetime;
    stopping: AbortSignal;
  }) {
    this.#catalog = options.catalog;
    this.#lives = options.lives;
    this.#ending = options.ending;
    this.#publication = options.publication;
    this.#lifetime = options.lifetime;
    this.#stopping = options.stopping;
  }

  /**
   * Goes on when the client has gone.
   * @throws HoldfastError `chunks_missing` and `chunk_conflict` (with the ranges), `checksum_mismatch` (it has failed then),
   *   `validation_failed`, `conflict`, `upload_expired`, `busy`, `backend_unavailable`
   */
  async complete(upload: Upload, options: CompleteOptions): Promise<FinishedUpload> {
    if (upload.status === 'completed') return this.#publication.answer(upload);
    if (!isOpen(upload) && upload.status !== 'completing') throw closedError(upload);
    if (upload.isPartial) {
      throw new HoldfastError(
        'conflict',
        'This upload is a part: name it in the Upload-Concat of a final one.',
      );
    }
    if (options.sha256 !== undefined && upload.sha256 !== null && options.sha256 !== upload.sha256)
      throw refusedField('validation_failed', 'sha256', `was announced as ${upload.sha256} before`);
    if (isOpen(upload)) requireParts(upload, await this.#catalog.uploads.pieces(upload.id), options.parts);
    return this.resume(upload, options.sha256);
  }

  /** Carries on from wherever the upload stands, or joins the one who does. */
  resume(upload: Upload, sha256?: string): Promise<FinishedUpload> {
    const running = this.#running.get(upload.id);
    if (running !== undefined) return running;
    const work = this.#work(upload, sha256).finally(() => this.#running.delete(upload.id));
    this.#running.set(upload.id, work);
    return work;
  }

  /** Resolves when nothing is being completed any more. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#running.values());
  }

  async #work(upload: Upload, sha256: string | undefined): Promise<FinishedUpload> {
    const sealed = isOpen(upload) ? await this.#sealedOrTaken(upload, upload.sha256 ?? sha256) : upload;
    return sealed.status === 'completed'
      ? this.#publication.answer(sealed)
      : this.#publication.publish(sealed, this.#stopping);
  }

  /** Another hub may complete the upload meanwhile, and take its bytes away: then it goes on from where that one is. */
  async #sealedOrTaken(upload: Upload, announced: string | undefined): Promise<Upload> {
    try {
      return await this.#seal(upload, announced);
    } catch (error) {
      if (!isHoldfastError(error) || error.code === 'checksum_mismatch') throw error;
      const current = await this.#current(upload.id);
      const isTaken = current.status === 'completing' || current.status === 'completed';
      if (!isTaken || (announced !== undefined && current.sha256 !== announced)) throw error;
      return current;
    }
  }

  async #seal(upload: Upload, announced: string | undefined): Promise<Upload> {
    const { id } = upload;
    using _alive = this.#lifetime.keepAlive(id);
    const { size, sha256 } = await this.#explained(upload, () =>
      this.#lives.use(id, async (live) => {
        const pieces = await this.#catalog.uploads.pieces(id);
        const whole = requireWhole(await this.#current(id), pieces);
        await live.close(
          new HoldfastError('conflict', 'This upload is being completed; it takes no more bytes.'),
        );
        try {
          const signal = AbortSignal.any([live.ended, this.#stopping]);
          return { size: whole, ...(await live.staged.seal(whole, pieces, { signal })) };
        } catch (error) {
          live.reopen();
          throw error;
        }
      }),
    );
    if (announced !== undefined && announced !== sha256) {
      const why = new HoldfastError(
        'checksum_mismatch',
        `The file was announced with SHA-256 ${announced}, but the received bytes have ${sha256}. The upload has failed, and nothing else was changed. Begin a new one.`,
      );
      await this.#ending.fail(upload, why);
      throw failedOr(why, await this.#current(id));
    }
    const next = await this.#catalog.uploads.transition(id, openStatuses, 'completing', { sha256, size });
    if (next !== null) return next;
    const current = await this.#current(id);
    if (current.status === 'completing' || current.status === 'completed') return current;
    throw closedError(current);
  }

  async #current(id: string): Promise<Upload> {
    const upload = await this.#catalog.uploads.get(id);
    if (upload === null) throw notFoundError(id);
    return upload;
  }

  /** An error because the upload has ended meanwhile says so; staged bytes that are really lost make it fail. */
  async #explained<T>(upload: Upload, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (isHoldfastError(error, 'file_not_found')) {
        const gone = 'The bytes of this upload are gone from its backend. Begin a new one.';
        await this.#ending.fail(upload, new HoldfastError('conflict', gone, { cause: error }));
      }
      const current = await this.#current(upload.id);
      if (isOpen(current) || current.status === 'completing' || current.status === 'completed') throw error;
      throw closedError(current);
    }
  }
}

/** An upload that another request has ended in the meantime has that other end. */
function failedOr(why: HoldfastError, current: Upload): HoldfastError {
  return current.status === 'failed' ? failureOf(current) : isOpen(current) ? why : closedError(current);
}

/** @throws HoldfastError `chunks_missing`, `chunk_conflict`, `invalid_request`; `errors` names the parts */
function requireParts(upload: Upload, pieces: readonly Piece[], parts: CompleteOptions['parts']): void {
  requireWhole(upload, pieces);
  if (parts === undefined) return;
  const received = new Map(pieces.map(({ num, sha256 }) => [num, sha256]));
  const named = new ChunkSet(upload.totalChunks);
  const different: number[] = [];
  for (const { chunk_num: num, etag } of parts) {
    if (!received.has(num))
      throw refusedField('invalid_request', 'parts', `must name chunks from 0 to ${upload.totalChunks - 1}`);
    named.add(num);
    if (received.get(num) !== etag) different.push(num);
  }
  if (different.length > 0) {
    const list = different.slice(0, MOST_RANGES);
    throw new HoldfastError(
      'chunk_conflict',
      `${different.length} of the parts were received with other bytes than their etags say.`,
      {
        errors: list.map((num) => ({
          field: 'parts',
          message: `chunk ${num} has the etag ${received.get(num)}`,
        })),
      },
    );
  }
  if (!named.isComplete) throw missing('parts does not name', named);
}

/** @returns the size of the whole. @throws HoldfastError `chunks_missing`, `conflict` */
function requireWhole(upload: Upload, pieces: readonly Piece[]): number {
  if (!isOpen(upload) && upload.status !== 'completing') throw closedError(upload);
  if (upload.size === null)
    throw new HoldfastError('conflict', 'The length of this upload is not known yet: send Upload-Length.');
  if (upload.protocol === 'chunks') {
    const received = new ChunkSet(upload.totalChunks);
    for (const { num } of pieces) received.add(num);
    if (!received.isComplete) throw missing('The hub still waits for', received);
  } else if (upload.receivedBytes !== upload.size) {
    throw new HoldfastError(
      'chunks_missing',
      `Of ${upload.size} bytes ${upload.receivedBytes} were received; go on from there.`,
    );
  }
  return upload.size;
}

function missing(what: string, received: ChunkSet): HoldfastError {
  const ranges = received.missing(MOST_RANGES);
  const count = received.total - received.size;
  return new HoldfastError(
    'chunks_missing',
    `${what} ${count} of ${received.total} chunks; the first one is ${ranges[0]?.[0]}.`,
    {
      errors: ranges.map(([first, last]) => ({
        field: 'parts',
        message: first === last ? `chunk ${first}` : `chunks ${first} to ${last}`,
      })),
    },
  );
}
