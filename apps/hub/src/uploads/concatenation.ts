import type { Catalog } from '@holdfast/catalog/catalog';
import type { Upload } from '@holdfast/catalog/uploads';
import { HoldfastError } from '@holdfast/contract/errors';
import type { Principal } from '../access/access.ts';
import type { Beginning, UploadSpec } from './beginning.ts';
import type { Ending } from './ending.ts';
import type { LiveUploads } from './live-uploads.ts';
import type { Receiving } from './receiving.ts';
import { closedError, isOpen, refusedField } from './session-state.ts';

/** What a final upload is made of besides its parts. */
export type FinalSpec = Omit<
  UploadSpec,
  'protocol' | 'size' | 'chunkSize' | 'isPartial' | 'deduplicate' | 'reservedBytes'
>;

/** Puts finished parts together to one upload (tus 1.0, Concatenation extension). The parts stay until they expire. */
export class Concatenation {
  readonly #catalog: Catalog;
  readonly #beginning: Beginning;
  readonly #ending: Ending;
  readonly #lives: LiveUploads;
  readonly #receiving: Receiving;

  constructor(options: {
    catalog: Catalog;
    beginning: Beginning;
    ending: Ending;
    lives: LiveUploads;
    receiving: Receiving;
  }) {
    this.#catalog = options.catalog;
    this.#beginning = options.beginning;
    this.#ending = options.ending;
    this.#lives = options.lives;
    this.#receiving = options.receiving;
  }

  /**
   * @param parts in their order; a part may be named several times
   * @returns the upload with all bytes, not completed yet
   * @throws HoldfastError `conflict` for a part that is not finished or no part, and those of `Beginning.begin`
   */
  async concatenate(
    principal: Principal,
    spec: FinalSpec,
    parts: readonly Upload[],
    signal: AbortSignal | undefined,
  ): Promise<Upload> {
    const size = parts.reduce((sum, part) => sum + sizeOf(part), 0);
    const begun = await this.#beginning.begin(principal, {
      ...spec,
      protocol: 'tus',
      size,
      chunkSize: null,
      deduplicate: false,
      reservedBytes: 0, // the parts have reserved already
    });
    if (begun.kind === 'deduplicated') throw new HoldfastError('internal', 'Parts were not put together.');
    const { session } = begun;
    try {
      let offset = 0;
      for (const part of parts) {
        offset = await this.#copy(part, session, offset, signal);
      }
    } catch (error) {
      await this.#ending.giveUp(session, error);
      throw error;
    }
    return (await this.#catalog.uploads.get(session.id)) ?? session;
  }

  async #copy(part: Upload, final: Upload, offset: number, signal: AbortSignal | undefined): Promise<number> {
    const length = sizeOf(part);
    if (length === 0) return offset;
    return this.#lives.use(part.id, async ({ staged, ended }) => {
      const stop = signal === undefined ? ended : AbortSignal.any([ended, signal]);
      await staged.seal(length, await this.#catalog.uploads.pieces(part.id), { signal: stop });
      const source = staged.stream({ signal: stop });
      const appended = await this.#receiving.append(final, offset, source, { length, signal: stop });
      if (!appended.complete)
        throw new HoldfastError('conflict', 'A part could not be read to its end. Try again.');
      return appended.offset;
    });
  }
}

/** @throws HoldfastError `conflict` */
function sizeOf(part: Upload): number {
  const { id, isPartial, receivedBytes, size } = part;
  if (!isPartial)
    throw refusedField('conflict', 'Upload-Concat', `names ${id}, which is not a partial upload`);
  if (!isOpen(part)) throw closedError(part);
  if (size !== null && receivedBytes === size) return size;
  const have = size === null ? `${receivedBytes} bytes` : `${receivedBytes} of ${size} bytes`;
  throw refusedField('conflict', 'Upload-Concat', `names ${id}, which is not finished: it has ${have}`);
}
