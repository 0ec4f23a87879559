import { requireNotMore, requireSha256, requireSize } from '@holdfast/bytes/announced-bytes';
import { SourceReader } from '@holdfast/bytes/source-reader';
import { HoldfastError } from '@holdfast/contract/errors';
import { setTimeout as delay } from 'node:timers/promises';
import type { WriteOptions } from '../../backend.ts';
import { StagingSlot } from '../../volume/staging-slot.ts';
import { ignoreStatus, nfsError } from '../failure.ts';
import type { NfsAttributes, NfsFile } from '../file-system.ts';
import { nfsStatus } from '../status.ts';
import type { EnteredShare, Share } from './share.ts';
import { Upload } from './uploading.ts';

/** Milliseconds that a failed write waits for its own cleaning up; the rest goes on behind its back, or is left to a sweep. */
const CLEANUP_MS = 2000;

type Expectations = Pick<WriteOptions, 'expectedSha256' | 'expectedSize' | 'signal'>;

/** A name in the staging folder. */
interface StagedPlace {
  folder: Buffer;
  name: string;
}

/** Bytes that are durable in the staging folder, compared with the source, and known by size and SHA-256. */
export interface Staged extends StagedPlace {
  /** Bytes. */
  size: number;
  /** Lower-case hex. */
  sha256: string;
  handle: Buffer;
  attributes: NfsAttributes;
}

/**
 * Stages a source on an entered share and hands it to `use`; what is in the staging folder afterwards is removed.
 * @param label the path that a person knows
 */
export async function withStaged<T>(
  share: Share,
  entered: EnteredShare,
  label: string,
  source: AsyncIterable<Uint8Array>,
  expectations: Expectations,
  use: (staged: Staged) => Promise<T>,
): Promise<T> {
  const folder = await share.openStaging(entered);
  const slot = new StagingSlot(share.ownerId);
  const place = { folder, name: slot.tempName };
  const file = await entered.fs.create(folder, place.name).catch(async (error: unknown) => {
    // It may have been made all the same; what stays is left to a sweep.
    await entered.fs.remove(folder, place.name, 'file').catch(() => undefined);
    slot[Symbol.dispose]();
    throw nfsError(error, `Writing ${label}`);
  });
  const upload = new Upload(file, label, expectations.expectedSize);
  try {
    const { size, sha256 } = await fill(upload, label, source, expectations);
    const attributes = await requireStoredSize(file, label, size);
    return await use({ ...place, size, sha256, handle: file.handle, attributes });
  } finally {
    const cleaning = cleanUp(entered, upload, file, place).finally(() => slot[Symbol.dispose]());
    await Promise.race([cleaning, delay(CLEANUP_MS, undefined, { ref: false })]);
  }
}

async function fill(
  upload: Upload,
  label: string,
  source: AsyncIterable<Uint8Array>,
  expectations: Expectations,
): Promise<{ size: number; sha256: string }> {
  await using reader = new SourceReader(source, expectations.signal, `Writing ${label}`);
  let received = 0;
  for (let chunk = await reader.next(); chunk !== undefined; chunk = await reader.next()) {
    received += chunk.byteLength;
    requireNotMore(label, expectations, received);
    await reader.during(upload.append(chunk));
  }
  requireSize(label, expectations, received);
  const stored = await reader.during(upload.finish());
  requireSha256(label, expectations, stored.sha256);
  return stored;
}

/** Every chunk was compared; this shows that there is nothing beside them. */
async function requireStoredSize(file: NfsFile, label: string, size: number): Promise<NfsAttributes> {
  try {
    const attributes = await file.attributes();
    if (attributes.size === size) return attributes;
    const again = await file.attributes();
    if (again.size === size) return again;
    throw new HoldfastError(
      'backend_unavailable',
      `${label} has ${again.size} bytes on the server, and ${size} were sent. Nothing was published; try again.`,
    );
  } catch (error) {
    throw nfsError(error, `Writing ${label}`);
  }
}

/** Never throws, so that it does not hide the first error: what could not be removed is left to a sweep. */
async function cleanUp(
  { fs }: EnteredShare,
  upload: Upload,
  file: NfsFile,
  place: StagedPlace,
): Promise<void> {
  try {
    await upload.settle();
    await file[Symbol.asyncDispose]();
    await fs.remove(place.folder, place.name, 'file').catch(ignoreStatus(nfsStatus.NOENT));
  } catch {
    // The server does not answer.
  }
}
