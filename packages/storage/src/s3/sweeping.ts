import { isLeftOver } from '../volume/left-over.ts';
import type { SweepReport } from '../backend.ts';
import { parseStagingName } from '../volume/staging-slot.ts';
import type { Bucket } from './bucket.ts';
import type { CallOptions } from './connection.ts';
import { eachKeyPage } from './key-pages.ts';
import type { KeyItem } from './key-pages.ts';
import { deleteObject } from './objects.ts';
import { abandonUpload, readRecord, removeRecord } from './upload-record.ts';
import { abortUpload, listUploads } from './uploads.ts';

/**
 * Removes what interrupted writes left: multipart uploads by the records of them, staged objects, and unfinished
 * uploads to the staging area; those of this owner, and those of anyone that are older than 24 hours. Writes of this
 * process that are under way are left alone.
 * @param now milliseconds since the epoch
 * @returns objects removed with their bytes, and uploads aborted (whose bytes S3 does not tell)
 */
export async function sweepStaging(bucket: Bucket, now = Date.now()): Promise<SweepReport> {
  const doing = 'Sweeping the staging area';
  const call = { doing };
  return bucket.run(doing, 'write', undefined, async () => {
    await bucket.requireMarker(call);
    const report: SweepReport = { removed: 0, bytes: 0 };
    for await (const items of eachKeyPage(bucket.connection, { prefix: bucket.keys.staging }, call)) {
      for (const item of items) await sweepItem(bucket, item, now, call, report);
    }
    // A crash between the beginning of an upload and its record: in this area every upload is ours.
    for (const upload of await listUploads(bucket.connection, bucket.keys.staging, call)) {
      if (!isSwept(bucket, upload.key, upload.initiated, now)) continue;
      await abortUpload(bucket.connection, upload, call);
      report.removed += 1;
    }
    return report;
  });
}

function isSwept(bucket: Bucket, key: string, since: Date, now: number): boolean {
  const staged = parseStagingName(key.slice(bucket.keys.staging.length));
  return staged !== undefined && isLeftOver(staged, bucket.ownerId, since.getTime(), now);
}

async function sweepItem(
  bucket: Bucket,
  { key, object }: KeyItem,
  now: number,
  call: CallOptions,
  report: SweepReport,
): Promise<void> {
  if (object === undefined || !isSwept(bucket, key, object.lastModified, now)) return;
  const name = key.slice(bucket.keys.staging.length);
  if (parseStagingName(name)?.kind === 'temp') {
    await deleteObject(bucket.connection, key, call);
    report.removed += 1;
    report.bytes += object.size;
    return;
  }
  const upload = await readRecord(bucket, name, call);
  if (upload !== undefined && (await abandonUpload(bucket, upload, call))) report.removed += 1;
  await removeRecord(bucket, name, call);
}
