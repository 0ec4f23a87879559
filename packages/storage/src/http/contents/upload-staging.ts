import { HoldfastError } from '@holdfast/contract/errors';
import type { JsonObject } from '@holdfast/contract/json';
import { MAX_CHUNKS } from '@holdfast/contract/uploads';
import { join } from 'node:path';
import type {
  ChunkAdvice,
  StagedUpload as StagedUploadContract,
  StagedUploadKey,
  UploadStaging as UploadStagingContract,
} from '../../contents.ts';
import { requireUploadId } from '../../contents/content-names.ts';
import { makePlace, readState } from '../../spool/saved-state.ts';
import { SessionTable } from '../../spool/session-table.ts';
import { SpoolFile } from '../../spool/spool-file.ts';
import type { Spool } from '../../spool/spool.ts';
import type { Site } from '../site.ts';
import { elsewhere, GatheredUpload } from './gathered-upload.ts';

const preferredChunkBytes = 8 * 1024 ** 2;
const fileName = 'data';

/** Uploads on their way to a web server. */
export class UploadStaging implements UploadStagingContract, AsyncDisposable {
  readonly advice: ChunkAdvice;
  readonly #site: Site;
  readonly #spool: Spool;
  readonly #sessions = new SessionTable<GatheredUpload>();

  constructor(site: Site, spool: Spool) {
    this.#site = site;
    this.#spool = spool;
    const maximum = spool.limitBytes;
    const preferred = Math.min(preferredChunkBytes, maximum);
    this.advice = { minimum: 1, preferred, maximum, maxChunks: MAX_CHUNKS };
  }

  async create(upload: Omit<StagedUploadKey, 'state'>): Promise<JsonObject> {
    const { id, size } = upload;
    requireUploadId(id);
    const doing = `Beginning the upload ${id}`;
    this.#requireRoom(size ?? 0, doing);
    await this.#site.enter();
    const spool = this.#spool;
    const state = { hub_id: this.#site.ownerId };
    await makePlace(spool, id, state);
    try {
      await spool.take(size ?? 0, { owner: id, doing });
      await using file = await SpoolFile.open(this.#pathOf(id));
      await file.resize(size ?? 0);
    } catch (error) {
      await spool.removeUpload(id);
      throw error;
    }
    return state;
  }

  async resume(upload: StagedUploadKey): Promise<StagedUploadContract> {
    const { id, state } = upload;
    requireUploadId(id);
    if (state['hub_id'] !== this.#site.ownerId) throw elsewhere(id);
    await this.#spool.open();
    const open = (): Promise<GatheredUpload> =>
      GatheredUpload.open(this.#site, this.#spool, upload, this.#pathOf(id));
    const session = await this.#sessions.enter(id, open);
    const discard = async (): Promise<void> => {
      await this.#sessions.forget(id);
      await this.#spool.removeUpload(id);
    };
    let hasLeft = false;
    return {
      get hashed() {
        return session.hashed;
      },
      receive: (position, source, options) => session.receive(position, source, options),
      prefixGrew: (end) => session.prefixGrew(end),
      seal: (size, pieces, options) => session.seal(size, pieces, options),
      publish: (sha256, size) => session.publish(sha256, size),
      stream: (options) => session.stream(options),
      discard,
      [Symbol.asyncDispose]: async () => {
        if (hasLeft) return;
        hasLeft = true;
        await this.#sessions.leave(id, session);
      },
    };
  }

  async list(): Promise<{ id: string; state: JsonObject; touchedAt: Date }[]> {
    const found: { id: string; state: JsonObject; touchedAt: Date }[] = [];
    for (const { id, touchedAt } of await this.#spool.uploads()) {
      const state = (await readState(this.#spool, id)) ?? { hub_id: this.#site.ownerId };
      found.push({ id, state, touchedAt });
    }
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sessions[Symbol.asyncDispose]();
  }

  #pathOf(id: string): string {
    return join(this.#spool.folderOf(id), fileName);
  }

  #requireRoom(size: number, doing: string): void {
    const { limitBytes } = this.#spool;
    if (size <= limitBytes) return;
    const text =
      `${doing} is not possible: it has ${size} bytes, and the hub gathers at most ${limitBytes} for a web server, ` +
      'which takes files only as a whole. Upload it to another backend.';
    throw new HoldfastError('too_large', text);
  }
}
