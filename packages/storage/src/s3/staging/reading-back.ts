import { HoldfastError } from '@holdfast/contract/errors';
import { createHash } from 'node:crypto';
import type { S3File } from '../open-file.ts';

/** A stretch whose SHA-256 is known from its way in. */
export interface KnownStretch {
  start: number;
  end: number;
  /** Lower-case hex. */
  sha256: string;
}

const looks = 3;

/**
 * The SHA-256 of a whole object, by reading it once. Each stretch is compared with what was sent, so that a byte that was
 * damaged on its way back is not taken for the object's: the stretch is read again.
 * @param stretches all of the object, in order
 * @throws HoldfastError `checksum_mismatch` when the bucket has other bytes than were sent
 */
export async function readBack(
  file: S3File,
  stretches: readonly KnownStretch[],
  signal: AbortSignal | undefined,
): Promise<string> {
  let whole = createHash('sha256');
  for (const { start, end, sha256 } of stretches) {
    for (let look = 1; ; look += 1) {
      const upToHere = whole.copy();
      const stretch = createHash('sha256');
      for await (const chunk of file.stream({ start, end }, signal === undefined ? {} : { signal })) {
        upToHere.update(chunk);
        stretch.update(chunk);
      }
      if (stretch.digest('hex') === sha256) {
        whole = upToHere;
        break;
      }
      if (look < looks) continue;
      const text = `The bucket has other bytes from ${start} to ${end} than were sent there.`;
      throw new HoldfastError('checksum_mismatch', `${text} Send the file again, and check the storage.`);
    }
  }
  return whole.digest('hex');
}
