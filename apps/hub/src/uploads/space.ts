import type { Catalog } from '@holdfast/catalog/catalog';
import type { Upload } from '@holdfast/catalog/uploads';
import { HoldfastError } from '@holdfast/contract/errors';
import type { Vault } from '../vault/vault.ts';

/** What is known of a backend's space is used again for this long, as long as there is plenty, in milliseconds. */
const FRESH_MS = 5000;
/** Open uploads that are read at once. */
const PAGE = 1000;

/** A backend that takes uploads. */
export type VaultBackend = ReturnType<Vault['backendFor']>;

interface Known {
  at: number;
  /** Bytes that nobody has been promised. */
  left: number;
}

/**
 * Refuses an upload for which there is no space before its bytes travel: what is free, less what the uploads under way
 * may still bring.
 */
export class Space {
  readonly #catalog: Catalog;
  readonly #known = new Map<string, Known>();
  readonly #looking = new Map<string, Promise<Known>>();

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
  }

  /**
   * @param size bytes of the upload that is to begin
   * @throws HoldfastError `storage_full`, naming the field `file_size`
   */
  async require(backend: VaultBackend, size: number): Promise<void> {
    const known = this.#known.get(backend.id);
    if (known !== undefined && performance.now() - known.at < FRESH_MS && known.left >= size) {
      known.left -= size;
      return;
    }
    const now = await this.#look(backend);
    if (now.left < size) {
      const message = `${size} bytes do not fit: ${Math.max(0, now.left)} are free on "${backend.name}" beyond the uploads under way`;
      throw new HoldfastError('storage_full', `${message}. Make space, or name another backend.`, {
        errors: [{ field: 'file_size', message }],
      });
    }
    now.left -= size;
  }

  async #look(backend: VaultBackend): Promise<Known> {
    const running = this.#looking.get(backend.id);
    if (running !== undefined) return running;
    const looking = this.#ask(backend).finally(() => this.#looking.delete(backend.id));
    this.#looking.set(backend.id, looking);
    const known = await looking;
    this.#known.set(backend.id, known);
    return known;
  }

  async #ask({ id, storage }: VaultBackend): Promise<Known> {
    const at = performance.now();
    if (!storage.capabilities.usage || storage.usage === undefined) return { at, left: Infinity };
    const [{ totalBytes, usedBytes }, promised] = await Promise.all([storage.usage(), this.#promised(id)]);
    return { at, left: totalBytes - usedBytes - promised };
  }

  /** Bytes that open uploads may still bring, beyond what the storage has allocated for them already. */
  async #promised(backendId: string): Promise<number> {
    let bytes = 0;
    let page: Upload[];
    let after: string | undefined;
    do {
      page = await this.#catalog.uploads.openOn(backendId, {
        limit: PAGE,
        ...(after === undefined ? {} : { after }),
      });
      for (const { size, receivedBytes, stagingState } of page)
        if (stagingState?.['allocated'] !== true) bytes += Math.max(0, (size ?? 0) - receivedBytes);
      after = page.at(-1)?.id;
    } while (page.length === PAGE);
    return bytes;
  }
}
