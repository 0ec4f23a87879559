import { EMPTY_SHA256 } from '@holdfast/bytes/sha256';
import { unlessCancelled } from '@holdfast/bytes/cancellation';
import { CoalescedSync } from '@holdfast/bytes/coalesced-sync';
import { syncFolder } from '@holdfast/bytes/durable-folder';
import { errnoOf } from '@holdfast/bytes/file-system-error';
import { HoldfastError, isHoldfastError } from '@holdfast/contract/errors';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Received, ReceiveOptions, StagedUploadKey } from '../../contents.ts';
import { pieceLabel, receivePiece } from '../../contents/receiving.ts';
import { Journal } from '../../spool/journal.ts';
import { SHA256 } from '../object-metadata.ts';
import { putObject } from '../objects.ts';
import { joinParts } from './joining.ts';
import { PartGrid } from './part-grid.ts';
import type { GridPart } from './part-grid.ts';
import { readBack } from './reading-back.ts';
import { sendObject, sendPart } from './sending.ts';
import { SpooledDigest } from './spooled-digest.ts';
import { SpooledIntake } from './spooled-intake.ts';
import type { IntakePlace, WrittenSlice } from './spooled-intake.ts';
import { SpooledPart } from './spooled-part.ts';
import type { SentPart } from './spooled-part.ts';
import { gotRecord, parseRecords } from './spool-records.ts';
import type { StagedObject } from './staged-object.ts';
import type { SealedDigest, UploadSession, Workshop } from './upload-session.ts';

/** Full parts of one upload that wait to be sent, before its source has to wait. */
const maxSending = 4;

interface SpooledUploadOptions {
  workshop: Workshop;
  staged: StagedObject;
  /** Absent where one part is enough. */
  uploadId: string | undefined;
  /** As it was known when the upload began: the parts are cut by it. */
  plannedSize: number | null;
  upload: StagedUploadKey;
}

/**
 * An upload in pieces that S3 does not take: they are durable in the spool when they are acknowledged, and sent as parts
 * when enough of them are there. What was sent is noted in a journal beside them, so that the hub that has them goes on
 * after a restart. The SHA-256 of the whole is computed while the parts are read to be sent.
 */
export class SpooledUpload implements UploadSession, IntakePlace {
  readonly staged: StagedObject;
  readonly uploadId: string | undefined;
  readonly #workshop: Workshop;
  readonly #upload: StagedUploadKey;
  readonly #grid: PartGrid;
  readonly #journal: Journal;
  readonly #folder: string;
  readonly #parts = new Map<number, SpooledPart>();
  /** Those that S3 does not have. */
  readonly #unsent = new Set<SpooledPart>();
  readonly #sending = new Set<Promise<void>>();
  readonly #closing = new AbortController();
  readonly #names: CoalescedSync;
  readonly #digest = new SpooledDigest(this.#parts);
  /** Why the last part could not be sent. */
  #failure: Error | undefined;

  private constructor({ workshop, staged, uploadId, plannedSize, upload }: SpooledUploadOptions) {
    this.staged = staged;
    this.uploadId = uploadId;
    this.#workshop = workshop;
    this.#upload = upload;
    this.#grid = PartGrid.for(plannedSize);
    this.#folder = workshop.spool.folderOf(staged.id);
    this.#journal = new Journal(join(this.#folder, 'journal'));
    this.#names = new CoalescedSync(() => syncFolder(this.#folder));
  }

  /** @throws HoldfastError `file_not_found` when bytes that were acknowledged are not in the spool */
  static async open(options: SpooledUploadOptions): Promise<SpooledUpload> {
    const upload = new SpooledUpload(options);
    await upload.#load();
    return upload;
  }

  get hashed(): number {
    return this.#digest.hashed;
  }

  /** The digest follows the parts as they are sent; those that could not be sent before are tried again. */
  prefixGrew(): void {
    this.#sendFull();
  }

  async receive(
    position: number,
    source: AsyncIterable<Uint8Array>,
    options: ReceiveOptions,
  ): Promise<Received> {
    const { keepPartial = false, signal } = options;
    const doing = pieceLabel(this.#upload, position);
    this.#requireRoomFor(options.length, keepPartial, doing);
    this.#sendFull();
    await this.calm();
    const intake = new SpooledIntake(this, position, { doing, countsAsItComes: keepPartial, signal });
    let less: { bytes: number; sha256: string } | undefined;
    try {
      const received = await receivePiece(this.#upload, position, source, options, {
        append: (chunk) => intake.take(chunk),
        finish: async () => {
          if (keepPartial) less = await intake.finishEarly();
          else await intake.finish();
        },
        release: () => intake[Symbol.asyncDispose](),
      });
      return less === undefined ? received : { ...less, complete: false };
    } catch (error) {
      // Where the spool is full because S3 cannot be reached, that is what a person should know.
      throw isHoldfastError(error, 'busy') ? (this.#failure ?? error) : error;
    } finally {
      this.#sendFull();
    }
  }

  async seal(
    size: number,
    _pieces: readonly unknown[],
    signal: AbortSignal | undefined,
  ): Promise<SealedDigest> {
    const doing = `Sealing the upload ${this.staged.id}`;
    return this.staged.bucket.run(doing, 'write', signal, async () => {
      if (size === 0) return this.#sealEmpty(doing, signal);
      const parts = await unlessCancelled(signal, doing, () => this.#sendAll(size));
      const call = { doing, signal, patience: 'long' } as const;
      if (this.uploadId === undefined) {
        const [only] = parts;
        if (only === undefined || (await this.staged.find(call))?.size !== size) throw this.staged.gone();
        return { sha256: only.sent.sha256 };
      }
      const handle = { key: this.staged.key, uploadId: this.uploadId };
      const joined = parts.map(({ place, sent }) => {
        return { partNumber: place.number, etag: sent.etag, bytes: sent.end - place.start };
      });
      const { asNoted } = await joinParts(this.staged, handle, joined, call);
      const sha256 = asNoted ? this.#digest.ofWhole(size) : undefined;
      if (sha256 !== undefined) return { sha256 };
      const stretches = parts.map(({ place, sent }) => ({ ...sent, start: place.start }));
      return { sha256: await readBack(await this.staged.open(call), stretches, signal) };
    });
  }

  /** Stops sending; what was received stays in the spool. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new HoldfastError('cancelled', `The upload ${this.staged.id} was let go.`));
    await Promise.all(this.#sending);
    this.#digest.lose();
    await this.#journal[Symbol.asyncDispose]();
  }

  partAt(position: number): SpooledPart {
    return this.#partOf(this.#grid.at(position));
  }

  endOf({ place }: SpooledPart): number {
    return Math.min(place.end, this.#upload.size ?? place.end);
  }

  async cut(part: SpooledPart, start: number, end: number): Promise<void> {
    part.coverage.remove(start, end);
    await this.#journal.append({ cut: [start, end] });
  }

  async count(written: readonly WrittenSlice[]): Promise<void> {
    const nameless = written.filter(({ part }) => !part.isNamed);
    if (nameless.length > 0) await this.#names.cover();
    for (const { part } of nameless) part.isNamed = true;
    await this.#journal.append(gotRecord(written.map(({ slice }) => slice)));
    for (const { part, slice } of written) {
      part.coverage.add(slice);
      this.#sendIfFull(part);
    }
  }

  /** Waits while much is on its way to S3, so that one fast source does not fill the spool. */
  async calm(): Promise<void> {
    while (this.#sending.size > maxSending) await Promise.race(this.#sending);
  }

  #partOf(place: GridPart, bytes = 0): SpooledPart {
    const known = this.#parts.get(place.number);
    if (known !== undefined) return known;
    const path = join(this.#folder, `part-${place.number}`);
    const part = new SpooledPart(this.#workshop.spool, this.staged.id, place, path, bytes);
    this.#parts.set(place.number, part);
    this.#unsent.add(part);
    return part;
  }

  async #load(): Promise<void> {
    await this.#findFiles();
    for (const record of parseRecords(await this.#journal.read())) {
      if ('got' in record) {
        for (const [start, end, sha256] of record.got) {
          this.partAt(start).coverage.add({ start, end, sha256 });
        }
      } else if ('cut' in record) this.partAt(record.cut[0]).coverage.remove(...record.cut);
      else {
        const place = this.#grid.part(record.sent.number);
        if (place !== undefined) this.#note(this.#partOf(place), record.sent);
      }
    }
    for (const part of this.#parts.values()) {
      if (part.sent !== undefined) part.dropFile();
      else if (part.coverage.slices.length > 0 && !part.isSpooled) throw this.staged.gone();
    }
    // A digest cannot be kept over a restart: what has left the spool is read from the bucket in the end.
    if (this.#parts.size > this.#unsent.size) this.#digest.lose();
  }

  async #findFiles(): Promise<void> {
    const names = await readdir(this.#folder).catch((error: unknown) => {
      throw errnoOf(error) === 'ENOENT' ? this.staged.gone(error) : error;
    });
    for (const name of names) {
      const place = this.#grid.part(Number(/^part-(\d+)$/.exec(name)?.[1] ?? 0));
      if (place !== undefined) this.#partOf(place, (await stat(join(this.#folder, name))).size);
    }
  }

  #note(part: SpooledPart, sent: SentPart): void {
    part.sent = sent;
    this.#unsent.delete(part);
  }

  #requireRoomFor(length: number | undefined, keepPartial: boolean, doing: string): void {
    const { limitBytes } = this.#workshop.spool;
    if (length === undefined || keepPartial || length <= limitBytes) return;
    const text = `${doing} needs ${length} bytes of the hub's spool, which has room for ${limitBytes}.`;
    throw new HoldfastError('too_large', `${text} Send it in smaller chunks.`);
  }

  #sendFull(): void {
    for (const part of this.#unsent) this.#sendIfFull(part);
  }

  #sendIfFull(part: SpooledPart, end = this.endOf(part)): void {
    if (part.sent !== undefined || part.sending !== undefined || !part.isFull(end)) return;
    const sending = this.#send(part, end)
      .catch((error: unknown) => {
        this.#failure = error instanceof Error ? error : new Error(String(error));
        if (this.#closing.signal.aborted) return;
        const { id } = this.staged;
        this.#workshop.logger?.warn({ err: error, upload: id }, 'a part stays in the spool for now');
      })
      .finally(() => {
        part.sending = undefined;
        this.#sending.delete(sending);
      });
    part.sending = sending;
    this.#sending.add(sending);
  }

  async #send(part: SpooledPart, end: number): Promise<void> {
    const { staged, uploadId } = this;
    const { signal } = this.#closing;
    const { number, start } = part.place;
    const doing = `Sending part ${number} of the upload ${staged.id}`;
    const call = { doing, signal, patience: 'long' } as const;
    const { connection } = staged.bucket;
    await this.#workshop.slots.run(signal, doing, async () => {
      await using use = await part.use();
      const sha256 = await this.#digest.ofPart(part, end);
      const bytes = { file: use.file, start: 0, end: end - start, sha256 };
      const etag = await staged.sending(doing, number, signal, () =>
        uploadId === undefined
          ? sendObject(connection, staged.key, bytes, { [SHA256]: sha256 }, call)
          : sendPart(connection, { key: staged.key, uploadId }, number, bytes, call),
      );
      await this.#journal.append({ sent: { number, end, etag, sha256 } });
      this.#note(part, { end, etag, sha256 });
      this.#failure = undefined;
    });
    await this.#digest.settle(part, end);
  }

  /** Sends what is not sent yet. @returns all parts, in order @throws HoldfastError why one could not be sent */
  async #sendAll(size: number): Promise<{ place: GridPart; sent: SentPart }[]> {
    this.#failure = undefined;
    for (const place of this.#grid.parts(size)) {
      const part = this.#partOf(place);
      await part.sending;
      if (part.sent === undefined && !part.isFull(place.end)) throw this.staged.gone();
      this.#sendIfFull(part, place.end);
      await this.calm();
      this.#requireSending();
    }
    await Promise.all(this.#sending);
    this.#requireSending();
    return this.#grid
      .parts(size)
      .map((place) => {
        const { sent } = this.#partOf(place);
        if (sent?.end !== place.end) throw this.staged.gone();
        return { place, sent };
      })
      .toArray();
  }

  #requireSending(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #sealEmpty(doing: string, signal: AbortSignal | undefined): Promise<SealedDigest> {
    const { bucket, key } = this.staged;
    const call = { doing, signal, patience: 'long' } as const;
    const metadata = { [SHA256]: EMPTY_SHA256 };
    await putObject(bucket.connection, key, new Uint8Array(0), EMPTY_SHA256, { metadata }, call);
    return { sha256: EMPTY_SHA256 };
  }
}
