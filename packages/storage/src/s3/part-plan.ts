import { HoldfastError } from '@holdfast/contract/errors';

/** The usual size of a part in bytes: 5 MiB is the least that S3 takes for all but the last one. */
export const PART_BYTES = 8 * 1024 ** 2;
/** Parts that an upload may have (Amazon S3 User Guide, "Multipart upload limits"). */
export const MAX_PARTS = 10_000;
/** Parts that every known server takes: OpenStack Swift is content with no more unless it is told (`s3api`, max_upload_part_num). */
export const SAFE_PARTS = 1000;
/** Bytes that an object may have (same place). */
export const MAX_OBJECT_BYTES = 5 * 1024 ** 4;

const partsInFlight = 4;
/** Bytes that the buffers of one upload may have in all, while its parts are so large that four are too many. */
const buffersBytes = 256 * 1024 ** 2;
/** Bytes of a part up to which parts are made larger only to have fewer of them. */
const safePartBytes = 32 * 1024 ** 2;
/** Parts of one size in an upload of unknown size, before the next ones are larger. */
const partsPerStep = 1000;
const growth = 1.5;
const grain = 1024 ** 2;

/**
 * How large the parts of an upload are. With a known size they are all equal, and so large that 1000 of them suffice
 * up to 31 GiB, and 10,000 for any size. With an unknown one they grow by half every 1000 parts, from 8 to 307 MiB: enough for 887 GiB.
 */
export class PartPlan {
  readonly #size: number | undefined;

  /** @param size bytes of the whole, if known */
  constructor(size?: number) {
    this.#size = size;
  }

  /**
   * Bytes of a part, the last one excepted, which is what is left.
   * @param partNumber from 1 on
   * @throws HoldfastError `too_large` beyond what S3 takes
   */
  partBytes(partNumber: number): number {
    if (partNumber > MAX_PARTS || (this.#size ?? 0) > MAX_OBJECT_BYTES) {
      const text =
        this.#size === undefined
          ? 'A file of unknown size has become too large. Send it again with its size (Content-Length).'
          : 'S3 takes files of up to 5 TiB.';
      throw new HoldfastError('too_large', text);
    }
    const least =
      this.#size === undefined
        ? PART_BYTES * growth ** Math.floor((partNumber - 1) / partsPerStep)
        : Math.max(PART_BYTES, Math.min(safePartBytes, this.#size / SAFE_PARTS), this.#size / MAX_PARTS);
    return Math.ceil(least / grain) * grain;
  }

  /**
   * Buffers that an upload may have at the time of a part, filling or in flight: four, fewer while parts are huge, but
   * always two, so that one is filled while the other one is sent.
   */
  buffers(partNumber: number): number {
    return Math.max(2, Math.min(partsInFlight, Math.floor(buffersBytes / this.partBytes(partNumber))));
  }
}
