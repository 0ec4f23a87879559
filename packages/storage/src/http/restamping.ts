import type { BackendPath } from '@holdfast/bytes/backend-path';
import { HoldfastError } from '@holdfast/contract/errors';
import type { StorageEntry } from '../backend.ts';
import type { Segments } from './address.ts';
import { fileEntry } from './entry.ts';
import { HttpFile } from './open-file.ts';
import { pause } from './retrying.ts';
import type { Site } from './site.ts';
import { discardStaged, stage } from './upload.ts';
import type { StagedUpload } from './upload.ts';

const attempts = 3;

/**
 * A staged file once more with another time, because at its path a version of the same size and second was just now:
 * both would have the same validator, and the old checksum record would count for the new bytes. The bytes go through
 * the hub again, which is rare: two writes of one size to one path within a second. On servers that set the time
 * themselves this waits for their next second.
 * @param place where the new staged file goes; the old one stays
 */
export async function restamp(
  site: Site,
  path: BackendPath,
  staged: StagedUpload,
  existing: StorageEntry | null,
  place: Segments,
): Promise<StagedUpload> {
  const { size, sha256, modifiedMs, validator = '' } = staged;
  const file = new HttpFile(site, staged.segments, fileEntry(path, { size, modifiedMs, validator }));
  for (let attempt = 1; attempt <= attempts; attempt += 1) {
    const expectations = { label: path, expectedSize: size, expectedSha256: sha256 };
    const timeMs = site.recent.nextTime(path, existing?.modifiedAt);
    const again = await stage(site, place, file.stream(), expectations, timeMs);
    if (again.validator === undefined || !site.recent.has(path, again.validator)) return again;
    await discardStaged(site, place);
    await pause(1000 - (Date.now() % 1000));
  }
  const text = `${path} was written again too soon for the web server's clock to tell the versions apart. Try again.`;
  throw new HoldfastError('conflict', text, { retryable: true });
}
