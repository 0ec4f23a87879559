import { setTimeout as delay } from 'node:timers/promises';
import { cancellationOf } from '@holdfast/bytes/cancellation';
import type { Catalog } from '@holdfast/catalog/catalog';
import type { FinishAnswer, Upload } from '@holdfast/catalog/uploads';
import { HoldfastError, isHoldfastError } from '@holdfast/contract/errors';
import type { Vault } from '../vault/vault.ts';
import type { Ending } from './ending.ts';
import type { LiveUploads } from './live-uploads.ts';
import type { Placement } from './placement.ts';
import type { UploadReports } from './reports.ts';
import { closedError, notFoundError } from './session-state.ts';

/** A hub that publishes says again every third of this time that it is still there, in milliseconds. */
const LEASE_MS = 60_000;
/** How often a hub looks whether another one has finished, and for how long, in milliseconds. */
const LOOK_EVERY_MS = 200;
const LOOK_FOR_MS = 20_000;
/** A content that comes and goes while this goes on is tried again so many times. */
const MOST_ATTEMPTS = 5;

/** What a completed upload is answered with. */
export interface FinishedUpload {
  /** Null when it stands at a path of its backend. */
  fileId: string | null;
  /** Where it stands on its backend, when it is no host file. */
  path: string | null;
  sha256: string;
  /** Bytes. */
  size: number;
  /** The vault held the content already. */
  deduplicated: boolean;
  backendId: string;
}

/**
 * From `completing` to `completed`: the sealed bytes go into the vault, unless it has them, and the host file is recorded; or they
 * go to the backend path that the upload names.
 */
export class Publication {
  readonly #catalog: Catalog;
  readonly #vault: Vault;
  readonly #lives: LiveUploads;
  readonly #ending: Ending;
  readonly #placement: Placement;
  readonly #reports: UploadReports;
  readonly #hubId: string;
  readonly #onError: (error: unknown) => void;

  constructor(options: {
    catalog: Catalog;
    vault: Vault;
    lives: LiveUploads;
    ending: Ending;
    placement: Placement;
    reports: UploadReports;
    hubId: string;
    onError: (error: unknown) => void;
  }) {
    this.#catalog = options.catalog;
    this.#vault = options.vault;
    this.#lives = options.lives;
    this.#ending = options.ending;
    this.#placement = options.placement;
    this.#reports = options.reports;
    this.#hubId = options.hubId;
    this.#onError = options.onError;
  }

  /** The answer of an upload that is completed. */
  async answer(upload: Upload): Promise<FinishedUpload> {
    const { fileId, sha256, size, deduplicated, backendId, destinationPath: path } = upload;
    if ((fileId === null && path === null) || sha256 === null || size === null)
      throw new HoldfastError('internal', 'A completed upload lacks its file in the catalog.');
    if (path !== null) return { fileId: null, path, sha256, size, deduplicated: false, backendId };
    const content = await this.#catalog.contents.get(sha256);
    return {
      fileId,
      path: null,
      sha256,
      size,
      deduplicated: deduplicated ?? false,
      backendId: content?.backendId ?? backendId,
    };
  }

  /**
   * @param upload that is `completing`
   * @throws HoldfastError `busy` while another hub is at it, `backend_unavailable`; it is `completing` still, and goes on when asked again
   */
  async publish(upload: Upload, signal: AbortSignal): Promise<FinishedUpload> {
    const claimed = await this.#claim(upload.id, signal);
    if (claimed.status === 'completed') return this.answer(claimed);
    using _lease = this.#prolongLease(upload.id);
    const { sha256, size } = claimed;
    if (sha256 === null || size === null)
      throw new HoldfastError(
        'internal',
        'An upload that is being completed lacks its SHA-256 in the catalog.',
      );
    for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt += 1) {
      const placed = await this.#end({ ...claimed, sha256, size }, signal);
      if (placed.kind === 'again') continue;
      const { upload: completed } = placed;
      await this.#lives.discard(completed, closedError(completed));
      if (placed.kind === 'finished') this.#reports.completed(completed);
      return await this.answer(completed);
    }
    throw busy();
  }

  async #end(upload: Upload & { sha256: string; size: number }, signal: AbortSignal): Promise<Placed> {
    const { id, sha256, size, destinationPath } = upload;
    if (destinationPath === null) return this.#intoHostFile(upload, signal);
    await this.#placement.place({ ...upload, destinationPath }, signal);
    const completed = await this.#catalog.uploads.transition(id, ['completing'], 'completed', {
      sha256,
      size,
    });
    if (completed !== null) return { kind: 'finished', upload: completed };
    const current = await this.#catalog.uploads.get(id);
    if (current === null) throw notFoundError(id);
    if (current.status === 'completed') return { kind: 'ended', upload: current };
    throw closedError(current);
  }

  /** Under the content's lock, so that a collection or another upload of it comes before or after. */
  async #intoHostFile(
    upload: Upload & { sha256: string; size: number },
    signal: AbortSignal,
  ): Promise<Placed> {
    const { id, sha256, size } = upload;
    await using _lock = await this.#vault.lock(sha256, signal);
    const presence = await this.#vault.presence(sha256);
    const published = presence.kind !== 'kept';
    if (published) await this.#intoVault(upload);
    const backendId = presence.kind === 'kept' ? presence.backendId : upload.backendId;
    const content = { sha256, size, backendId, published };
    return placedBy(await this.#catalog.uploads.finish({ id, content, at: new Date() }), id);
  }

  async #intoVault(upload: Upload & { sha256: string; size: number }): Promise<void> {
    const { sha256, size } = upload;
    try {
      await this.#lives.use(upload.id, async (live) => {
        await this.#vault.dropDamaged(sha256);
        await live.staged.publish(sha256, size);
      });
    } catch (error) {
      if (!isHoldfastError(error, 'file_not_found')) throw error;
      // A crash after the publishing has left nothing staged: the vault has it, and under this name nothing else.
      const stored = await this.#vault.backendOf(upload.backendId).contents.stat(sha256);
      if (stored?.size === size) return;
      const why = new HoldfastError(
        'conflict',
        'The bytes of this upload are gone from its backend. Begin a new one.',
        {
          cause: error,
        },
      );
      await this.#ending.fail(upload, why, ['completing']);
      throw why;
    }
  }

  /** Takes the lease, or waits for the hub that has it. @throws HoldfastError `busy` */
  async #claim(id: string, signal: AbortSignal): Promise<Upload> {
    const until = Date.now() + LOOK_FOR_MS;
    do {
      const claimed = await this.#lease(id);
      if (claimed !== null) return claimed;
      const current = await this.#catalog.uploads.get(id);
      if (current === null) throw notFoundError(id);
      if (current.status === 'completed') return current;
      if (current.status !== 'completing') throw closedError(current);
      try {
        await delay(LOOK_EVERY_MS, undefined, { signal });
      } catch {
        throw cancellationOf(signal, 'The completion');
      }
    } while (Date.now() < until);
    throw busy();
  }

  #lease(id: string): Promise<Upload | null> {
    const now = new Date();
    return this.#catalog.uploads.claim(id, this.#hubId, { now, until: new Date(now.getTime() + LEASE_MS) });
  }

  #prolongLease(id: string): Disposable {
    const timer = setInterval(() => {
      this.#lease(id).catch(this.#onError);
    }, LEASE_MS / 3).unref();
    return { [Symbol.dispose]: () => clearInterval(timer) };
  }
}

/** What became of one attempt; `ended`: somebody else completed it first. */
type Placed = { kind: 'finished' | 'ended'; upload: Upload } | { kind: 'again' };

function placedBy(answer: FinishAnswer, id: string): Placed {
  switch (answer.kind) {
    case 'finished':
      return { kind: 'finished', upload: answer.upload };
    case 'ended':
      if (answer.upload.status === 'completed') return { kind: 'ended', upload: answer.upload };
      throw closedError(answer.upload);
    case 'content_missing':
    case 'content_removing':
      return { kind: 'again' };
    case 'unknown':
      throw notFoundError(id);
    default:
      return answer satisfies never;
  }
}

function busy(): HoldfastError {
  return new HoldfastError('busy', 'Another hub is completing this upload. Ask again in a moment.');
}
