import { HoldfastError, isHoldfastError } from '@holdfast/contract/errors';
import { MAX_CHUNKS } from '@holdfast/contract/uploads';
import type { JsonObject } from '@holdfast/contract/json';
import type {
  ChunkAdvice,
  StagedUpload as StagedUploadContract,
  StagedUploadKey,
  UploadStaging as UploadStagingContract,
} from '../../contents.ts';
import { isUploadId, requireUploadId } from '../../contents/content-names.ts';
import { makePlace, readState } from '../../spool/saved-state.ts';
import { SessionTable } from '../../spool/session-table.ts';
import { Slots } from '../../spool/slots.ts';
import type { Spool } from '../../spool/spool.ts';
import type { Bucket } from '../bucket.ts';
import { eachKeyPage } from '../key-pages.ts';
import { PART_BYTES } from '../part-plan.ts';
import { abortUpload, createUpload } from '../uploads.ts';
import { AbsentUpload } from './absent-upload.ts';
import { ChunkUpload } from './chunk-upload.ts';
import { eachUpload } from './listing-uploads.ts';
import { SpooledUpload } from './spooled-upload.ts';
import { StagedObject } from './staged-object.ts';
import { parseState, shapeOf } from './staged-state.ts';
import type { StagedState } from './staged-state.ts';
import { StagedUpload } from './staged-upload.ts';
import type { UploadSession, Workshop } from './upload-session.ts';

/** Bytes of a chunk at most: it is spooled as a whole, and others want room as well. */
const largestChunkBytes = 1024 ** 3;
const sharesOfSpool = 4;
/** Requests with bytes that are on their way to S3 at the same time, over all uploads of a backend. */
const sendsAtATime = 8;

interface ListedUpload {
  id: string;
  state: JsonObject;
  touchedAt: Date;
}

/** Uploads on their way into a bucket. */
export class UploadStaging implements UploadStagingContract, AsyncDisposable {
  readonly advice: ChunkAdvice;
  readonly #bucket: Bucket;
  readonly #workshop: Workshop;
  readonly #sessions = new SessionTable<UploadSession>();

  constructor(bucket: Bucket, spool: Spool) {
    this.#bucket = bucket;
    this.#workshop = { spool, slots: new Slots(sendsAtATime), logger: bucket.connection.logger };
    this.advice = {
      minimum: 1,
      preferred: Math.min(PART_BYTES, Math.floor(spool.limitBytes / sharesOfSpool)),
      maximum: Math.min(largestChunkBytes, Math.floor(spool.limitBytes / sharesOfSpool)),
      maxChunks: MAX_CHUNKS,
    };
  }

  async create(upload: Omit<StagedUploadKey, 'state'>): Promise<JsonObject> {
    const { id } = upload;
    requireUploadId(id);
    const shape = shapeOf(upload, this.advice.maximum);
    const bucket = this.#bucket;
    const doing = `Beginning the upload ${id}`;
    const call = { doing, patience: 'brief' } as const;
    return bucket.run(doing, 'write', undefined, async () => {
      await bucket.requireMarker(call);
      if (shape.mode === 'single') return toState({ mode: 'single' });
      const key = bucket.keys.uploads + id;
      const isMultipart = shape.mode === 'parts' || shape.isMultipart;
      const handle = isMultipart ? await createUpload(bucket.connection, key, {}, {}, call) : undefined;
      if (shape.mode === 'parts' && handle !== undefined) {
        return toState({ mode: 'parts', upload_id: handle.uploadId });
      }
      const state = toState({
        mode: 'spooled',
        hub_id: bucket.ownerId,
        planned_size: upload.size,
        ...(handle === undefined ? {} : { upload_id: handle.uploadId }),
      });
      try {
        await makePlace(this.#workshop.spool, id, state);
      } catch (error) {
        if (handle !== undefined) {
          await bucket.cleanUp(`The upload of ${key} that could not begin`, error, (patience) =>
            abortUpload(bucket.connection, handle, { doing, patience }),
          );
        }
        throw error;
      }
      return state;
    });
  }

  async resume(upload: StagedUploadKey): Promise<StagedUploadContract> {
    const { id } = upload;
    requireUploadId(id);
    const state = parseState(upload.state);
    const session = await this.#sessions.enter(id, () => this.#open(upload, state));
    const isLocal = state.mode === 'spooled' && state.hub_id === this.#bucket.ownerId;
    const removeLocal = async (): Promise<void> => {
      await this.#sessions.forget(id);
      if (isLocal) await this.#workshop.spool.removeUpload(id);
    };
    return new StagedUpload(upload, session, removeLocal, () => this.#sessions.leave(id, session));
  }

  async list(): Promise<ListedUpload[]> {
    const bucket = this.#bucket;
    const doing = 'Listing uploads that are under way';
    const call = { doing } as const;
    const spooled = await this.#listSpool();
    const known = new Set(spooled.map(({ state }) => state['upload_id']));
    return bucket.run(doing, 'read', undefined, async () => {
      const found = [...spooled];
      const { uploads } = bucket.keys;
      for await (const { key, uploadId, initiated } of eachUpload(bucket.connection, uploads, call)) {
        const id = key.slice(uploads.length);
        if (!isUploadId(id) || known.has(uploadId)) continue;
        found.push({ id, state: toState({ mode: 'parts', upload_id: uploadId }), touchedAt: initiated });
      }
      const ids = new Set(found.map(({ id }) => id));
      for await (const items of eachKeyPage(bucket.connection, { prefix: uploads }, call)) {
        for (const { key, object } of items) {
          const id = key.slice(uploads.length);
          if (object === undefined || !isUploadId(id) || ids.has(id)) continue;
          found.push({ id, state: toState({ mode: 'single' }), touchedAt: object.lastModified });
        }
      }
      return found;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sessions[Symbol.asyncDispose]();
  }

  async #open(upload: StagedUploadKey, state: StagedState): Promise<UploadSession> {
    const staged = new StagedObject(this.#bucket, upload.id);
    if (state.mode !== 'spooled') {
      const uploadId = state.mode === 'parts' ? state.upload_id : undefined;
      return new ChunkUpload(this.#workshop, staged, upload, uploadId);
    }
    const uploadId = state.upload_id;
    if (state.hub_id !== this.#bucket.ownerId) {
      return new AbsentUpload(staged, uploadId, () => elsewhere(upload.id));
    }
    try {
      const plannedSize = state.planned_size;
      const options = { workshop: this.#workshop, staged, uploadId, plannedSize, upload };
      await this.#workshop.spool.open();
      return await SpooledUpload.open(options);
    } catch (error) {
      if (!isHoldfastError(error, 'file_not_found')) throw error;
      return await this.#openSealed(staged, uploadId, error);
    }
  }

  /** An upload that has lost its pieces counts only when it was sealed before; otherwise its rest is removed. */
  async #openSealed(
    staged: StagedObject,
    uploadId: string | undefined,
    why: HoldfastError,
  ): Promise<UploadSession> {
    const { key, id, bucket } = staged;
    const doing = `Looking for the upload ${id}`;
    const call = { doing } as const;
    return bucket.run(doing, 'write', undefined, async () => {
      if ((await staged.find(call)) !== undefined) return new AbsentUpload(staged, uploadId, () => why);
      if (uploadId !== undefined) await abortUpload(bucket.connection, { key, uploadId }, call);
      await this.#workshop.spool.removeUpload(id);
      throw why;
    });
  }

  async #listSpool(): Promise<ListedUpload[]> {
    const { spool } = this.#workshop;
    const found: ListedUpload[] = [];
    for (const { id, touchedAt } of await spool.uploads()) {
      const saved = await readState(spool, id);
      const bare: StagedState = { mode: 'spooled', hub_id: this.#bucket.ownerId, planned_size: null };
      found.push({ id, state: saved ?? toState(bare), touchedAt });
    }
    return found;
  }
}

function toState(state: StagedState): JsonObject {
  return { ...state };
}

function elsewhere(id: string): HoldfastError {
  const text =
    `The upload ${id} is in small chunks, which another hub gathers. Send it to that hub, or upload the file anew in ` +
    'chunks of 5 MiB or more, which any hub takes.';
  return new HoldfastError('backend_unavailable', text, { retryable: false });
}
