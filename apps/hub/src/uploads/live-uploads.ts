import type { Catalog } from '@holdfast/catalog/catalog';
import type { Upload } from '@holdfast/catalog/uploads';
import { HoldfastError, isHoldfastError } from '@holdfast/contract/errors';
import type { ContentArea, StagedUpload } from '@holdfast/storage/contents';
import type { Vault } from '../vault/vault.ts';
import { LiveUpload } from './live-upload.ts';
import { closedError, isOpen, notFoundError } from './session-state.ts';

/** Uploads that nobody works on stay open up to this number, so that the next chunk finds them. */
const MOST_IDLE = 2000;
/** How many are looked at to find one that can be forgotten. */
const MOST_LOOKED_AT = 16;

interface Opened {
  readonly live: LiveUpload;
  readonly contents: ContentArea;
  readonly backendId: string;
}

interface Entry {
  readonly opening: Promise<Opened>;
  opened: Omit<Opened, 'live'> | undefined;
  users: number;
  readonly whenUnused: (() => void)[];
}

/** The staged uploads that this process has open. Any of them can be forgotten and opened again from the catalog. */
export class LiveUploads implements AsyncDisposable {
  readonly #catalog: Catalog;
  readonly #vault: Vault;
  readonly #onError: (error: unknown) => void;
  /** In the order of their last use. */
  readonly #entries = new Map<string, Entry>();

  constructor(options: { catalog: Catalog; vault: Vault; onError: (error: unknown) => void }) {
    this.#catalog = options.catalog;
    this.#vault = options.vault;
    this.#onError = options.onError;
  }

  /**
   * Works on an upload that is open or being completed.
   * @throws HoldfastError `upload_not_found`, `conflict` and the like when it has ended, `file_not_found` when its bytes are gone,
   *   `backend_unavailable`
   */
  async use<T>(id: string, work: (live: LiveUpload) => Promise<T>): Promise<T> {
    const entry = this.#enter(id);
    try {
      const { live } = await entry.opening;
      return await work(live);
    } finally {
      this.#leave(id, entry);
    }
  }

  /** Whether anybody in this process works on an upload right now. */
  isBusy(id: string): boolean {
    return (this.#entries.get(id)?.users ?? 0) > 0;
  }

  /**
   * For an upload that has ended in the catalog: stops all work on it here, then removes its staged bytes.
   * @returns false when they could not be removed now; the sweep removes them later
   */
  async discard(upload: Upload, reason: HoldfastError): Promise<boolean> {
    try {
      const entry = this.#entries.get(upload.id);
      if (entry !== undefined) {
        await this.#stop(entry, reason);
        this.#entries.delete(upload.id);
        await using staged = (await entry.opening).live.staged;
        await staged.discard();
        return true;
      }
      await using staged = await resume(this.#vault.backendOf(upload.backendId).contents, upload);
      await staged.discard();
      return true;
    } catch (error) {
      if (isHoldfastError(error, 'file_not_found')) return true;
      this.#onError(error);
      return false;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const reason = new HoldfastError(
      'shutting_down',
      'The hub is shutting down; send this again in a moment.',
    );
    const all = [...this.#entries.values()];
    this.#entries.clear();
    await Promise.all(
      all.map(async (entry) => {
        const opened = await entry.opening.then(
          () => true,
          () => false, // whoever asked for it was told
        );
        if (!opened) return;
        await this.#stop(entry, reason);
        await this.#dispose(entry);
      }),
    );
  }

  #enter(id: string): Entry {
    let entry = this.#entries.get(id);
    if (entry !== undefined && this.#isStale(entry)) {
      this.#entries.delete(id);
      if (entry.users === 0) void this.#dispose(entry);
      entry = undefined;
    }
    entry ??= this.#open(id);
    entry.users += 1;
    this.#entries.delete(id);
    this.#entries.set(id, entry);
    return entry;
  }

  #leave(id: string, entry: Entry): void {
    entry.users -= 1;
    if (entry.users > 0) return;
    for (const resolve of entry.whenUnused.splice(0)) resolve();
    if (this.#entries.get(id) !== entry) {
      void this.#dispose(entry); // its backend was changed meanwhile
      return;
    }
    this.#forgetOldest();
  }

  #forgetOldest(): void {
    let looked = 0;
    for (const [id, entry] of this.#entries) {
      if (this.#entries.size <= MOST_IDLE || looked === MOST_LOOKED_AT) return;
      looked += 1;
      if (entry.users > 0) continue;
      this.#entries.delete(id);
      void this.#dispose(entry);
    }
  }

  #open(id: string): Entry {
    const entry: Entry = { opening: this.#resume(id), users: 0, whenUnused: [], opened: undefined };
    entry.opening.then(
      ({ backendId, contents }) => {
        entry.opened = { backendId, contents };
      },
      () => {
        if (this.#entries.get(id) === entry) this.#entries.delete(id);
      },
    );
    return entry;
  }

  async #resume(id: string): Promise<Opened> {
    const upload = await this.#catalog.uploads.get(id);
    if (upload === null) throw notFoundError(id);
    if (!isOpen(upload) && upload.status !== 'completing') throw closedError(upload);
    const { contents } = this.#vault.backendOf(upload.backendId);
    const staged = await resume(contents, upload);
    const { size, chunkSize, totalChunks } = upload;
    const plan = size === null || chunkSize === null ? null : { size, chunkSize };
    const live = new LiveUpload(staged, plan, totalChunks);
    if (plan === null) live.noteOffset(upload.receivedBytes);
    else live.noteChunks(await this.#catalog.uploads.pieceNumbers(id));
    if (!isOpen(upload)) await live.close(closedError(upload));
    return { live, contents, backendId: upload.backendId };
  }

  /** A backend whose configuration was changed is another storage: what was opened on the old one is of no use. */
  #isStale({ opened }: Entry): boolean {
    return opened !== undefined && this.#vault.backendOf(opened.backendId).contents !== opened.contents;
  }

  async #stop(entry: Entry, reason: HoldfastError): Promise<void> {
    const { live } = await entry.opening;
    await live.end(reason);
    if (entry.users > 0) await new Promise<void>((resolve) => entry.whenUnused.push(resolve));
  }

  async #dispose(entry: Entry): Promise<void> {
    try {
      const { live } = await entry.opening;
      await live.staged[Symbol.asyncDispose]();
    } catch (error) {
      this.#onError(error);
    }
  }
}

async function resume(contents: ContentArea, upload: Upload): Promise<StagedUpload> {
  const { id, stagingState, size, chunkSize } = upload;
  if (stagingState === null)
    throw new HoldfastError('file_not_found', `The upload ${id} has no bytes on its backend.`);
  return contents.staging.resume({ id, state: stagingState, size, chunkSize });
}
