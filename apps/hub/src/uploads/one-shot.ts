import { HoldfastError } from '@holdfast/contract/errors';
import type { Principal } from '../access/access.ts';
import type { Beginning, UploadSpec } from './beginning.ts';
import type { Completion } from './completion.ts';
import type { Ending } from './ending.ts';
import type { FinishedUpload } from './publication.ts';
import type { Receiving } from './receiving.ts';

/** A file that comes in one request. */
export type OneShot = Pick<
  UploadSpec,
  'filepath' | 'hostname' | 'sha256' | 'size' | 'mtime' | 'mode' | 'backendId'
>;

/** Takes a whole file in one request: a session that nobody can resume, and that leaves nothing when it fails. */
export class OneShots {
  readonly #beginning: Beginning;
  readonly #receiving: Receiving;
  readonly #completion: Completion;
  readonly #ending: Ending;

  constructor(options: {
    beginning: Beginning;
    receiving: Receiving;
    completion: Completion;
    ending: Ending;
  }) {
    this.#beginning = options.beginning;
    this.#receiving = options.receiving;
    this.#completion = options.completion;
    this.#ending = options.ending;
  }

  /** @throws HoldfastError `incomplete_body`, `too_large`, `checksum_mismatch`, and those of `Beginning.begin` */
  async store(
    principal: Principal,
    file: OneShot,
    source: AsyncIterable<Uint8Array>,
    signal: AbortSignal | undefined,
  ): Promise<FinishedUpload> {
    const begun = await this.#beginning.begin(principal, {
      ...file,
      protocol: 'tus',
      chunkSize: null,
      deduplicate: false, // the bytes are here: whether they are the announced ones is worth knowing
    });
    if (begun.kind === 'deduplicated') throw new HoldfastError('internal', 'The bytes were not taken.');
    const { session } = begun;
    try {
      const { size } = file;
      const { offset, complete } = await this.#receiving.append(session, 0, source, {
        ...(size === null ? {} : { length: size }),
        signal,
      });
      if (!complete || (size !== null && offset !== size)) {
        const of = size === null ? '' : ` of ${size}`;
        throw new HoldfastError(
          'incomplete_body',
          `Only ${offset}${of} bytes came before the body ended; nothing was kept. Send it again.`,
        );
      }
      const sized = size === null ? await this.#beginning.declareSize(session, offset) : session;
      return await this.#completion.resume(sized);
    } catch (error) {
      await this.#ending.giveUp(session, error);
      throw error;
    }
  }
}
