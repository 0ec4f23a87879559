import type { Logger } from 'pino';
import type { Content } from '@holdfast/catalog/contents';
import { HoldfastError, isHoldfastError } from '@holdfast/contract/errors';
import type { StorageBackend } from '@holdfast/storage/backend';
import type { ContentArea } from '@holdfast/storage/contents';
import type { Backends, LiveBackend } from '../backends/backends.ts';
import type { Settings } from '../settings.ts';

/** A backend that has a vault. */
export interface VaultBackend {
  readonly id: string;
  readonly name: string;
  readonly storage: StorageBackend;
  readonly contents: ContentArea;
  /** When it was added to this catalog: what its vault held before that is another catalog's. */
  readonly addedAt: Date;
}

/** Which backends keep contents. */
export class VaultBackends {
  readonly #backends: Backends;
  readonly #settings: Settings;
  readonly #logger: Logger;

  constructor({ backends, settings, logger }: { backends: Backends; settings: Settings; logger: Logger }) {
    this.#backends = backends;
    this.#settings = settings;
    this.#logger = logger;
  }

  /** @throws HoldfastError `backend_not_found`, `backend_unavailable` (none is set), `read_only` */
  forUploads(backendId: string | null | undefined): VaultBackend {
    const id = backendId ?? this.#settings.current.default_ingest_backend_id;
    if (id === null) {
      throw new HoldfastError(
        'backend_unavailable',
        'No backend is set to take uploads: set default_ingest_backend_id by PATCH /api/v1/system/settings, or name a backend_id.',
      );
    }
    const live = this.#backends.get(id);
    const found = withVault(live);
    if (found !== null) return found;
    throw new HoldfastError(
      'read_only',
      `The backend "${live.row.name}" is read-only and keeps no uploads. Name another backend_id, or make another one the default_ingest_backend_id.`,
      { errors: [{ field: 'backend_id', message: 'is a read-only backend' }] },
    );
  }

  /** @throws HoldfastError `backend_unavailable` */
  keeping(backendId: string): VaultBackend {
    const live = this.#backends.find(backendId);
    const found = live === undefined ? null : withVault(live);
    if (found !== null) return found;
    throw new HoldfastError(
      'backend_unavailable',
      live === undefined
        ? `The backend ${backendId} that keeps this content is not there any more.`
        : `The backend "${live.row.name}" keeps this content and has become read-only, so that its vault cannot be used. Make it writable again.`,
    );
  }

  /** Whether the backend of a row has its bytes, as far as it can tell now. */
  async shows({ sha256, size, backendId }: Content): Promise<boolean> {
    try {
      const stored = await this.keeping(backendId).contents.stat(sha256);
      return stored?.size === size;
    } catch (error) {
      if (!isHoldfastError(error)) throw error;
      this.#logger.warn(
        { err: error, sha256, backend_id: backendId },
        'the backend cannot show a content now',
      );
      return false;
    }
  }

  list(): VaultBackend[] {
    return this.#backends.list().flatMap((live) => withVault(live) ?? []);
  }
}

function withVault({ row, storage }: LiveBackend): VaultBackend | null {
  const { contents } = storage;
  if (contents === undefined) return null;
  return { id: row.id, name: row.name, storage, contents, addedAt: row.createdAt };
}
