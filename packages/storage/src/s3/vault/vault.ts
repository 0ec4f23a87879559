import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import type { ContentArea, ContentPage, SmallContent, StoredContent } from '../../contents.ts';
import { contentPath, isContentOf, noSuchContent, requireContentName } from '../../contents/content-names.ts';
import { storeSideBySide } from '../../contents/small-contents.ts';
import type { Spool } from '../../spool/spool.ts';
import type { Bucket } from '../bucket.ts';
import type { Cdn } from '../cdn.ts';
import { listKeys } from '../key-pages.ts';
import { deleteObject } from '../objects.ts';
import type { StoredObject } from '../objects.ts';
import { S3File } from '../open-file.ts';
import { findContent } from '../staging/publishing.ts';
import { UploadStaging } from '../staging/upload-staging.ts';
import { contentKey } from './content-key.ts';
import { putContent, storeContent } from './storing.ts';

/** Small contents that are on their way at a time. */
const putsAtATime = 16;

/** The contents of a bucket. */
export function contentArea(
  bucket: Bucket,
  cdn: Cdn | undefined,
  spool: Spool,
): ContentArea & AsyncDisposable {
  const staging = new UploadStaging(bucket, spool);
  return {
    staging,
    stat: async (sha256, options) => {
      const object = await look(bucket, sha256, options?.signal);
      return object === undefined ? null : stored(sha256, object);
    },
    open: async (sha256, options) => {
      const object = await look(bucket, sha256, options?.signal);
      if (object === undefined) throw noSuchContent(sha256);
      const place = { path: contentPath(sha256), key: contentKey(bucket, sha256) };
      return new S3File(bucket, cdn, place, object);
    },
    store: (source, options) => storeContent(bucket, source, options ?? {}),
    storeMany: (contents, options) => storeContents(bucket, contents, options?.signal),
    remove: (sha256) => removeContent(bucket, sha256),
    list: (options) => listContents(bucket, options),
    [Symbol.asyncDispose]: () => staging[Symbol.asyncDispose](),
  };
}

function stored(sha256: string, { size, lastModified }: StoredObject): StoredContent {
  return { sha256, size, storedAt: lastModified };
}

async function look(
  bucket: Bucket,
  sha256: string,
  signal: AbortSignal | undefined,
): Promise<StoredObject | undefined> {
  requireContentName(sha256);
  const doing = `Looking at the content ${sha256}`;
  throwIfCancelled(signal, doing);
  return bucket.run(doing, 'read', signal, async () => {
    const call = { doing, signal };
    const object = await findContent(bucket, sha256, undefined, call);
    // Nothing there, or not our bucket?
    if (object === undefined) await bucket.requireMarker(call);
    return object;
  });
}

async function removeContent(bucket: Bucket, sha256: string): Promise<boolean> {
  requireContentName(sha256);
  const doing = `Removing the content ${sha256}`;
  const call = { doing };
  return bucket.run(doing, 'write', undefined, async () => {
    const [object] = await Promise.all([
      findContent(bucket, sha256, undefined, call),
      bucket.requireMarker(call),
    ]);
    // Also where the object is damaged, or of another's making: it goes by its name.
    await deleteObject(bucket.connection, contentKey(bucket, sha256), call);
    return object !== undefined;
  });
}

async function storeContents(
  bucket: Bucket,
  contents: readonly SmallContent[],
  caller: AbortSignal | undefined,
): ReturnType<ContentArea['storeMany']> {
  const doing = 'Storing contents';
  const signal = bucket.connection.signalFor(caller);
  throwIfCancelled(signal, doing);
  const call = { doing, signal, patience: 'long' } as const;
  await bucket.run(doing, 'write', signal, () => bucket.requireMarker(call));
  const store = async (content: SmallContent): Promise<{ stored: boolean }> =>
    bucket.run(doing, 'write', signal, async () => ({ stored: await putContent(bucket, content, call) }));
  return storeSideBySide(contents, putsAtATime, store, signal);
}

async function listContents(
  bucket: Bucket,
  { after, limit }: { after?: string; limit: number },
): Promise<ContentPage> {
  const doing = 'Listing contents';
  const prefix = bucket.keys.vault;
  return bucket.run(doing, 'read', undefined, async () => {
    if (after === undefined) await bucket.requireMarker({ doing });
    const contents: StoredContent[] = [];
    let afterKey = after === undefined ? undefined : contentKey(bucket, after);
    for (;;) {
      const wanted = limit - contents.length;
      const query = { prefix, after: afterKey, limit: Math.min(1000, wanted + 1) };
      const { items, nextToken } = await listKeys(bucket.connection, query, { doing });
      for (const { key, object } of items) {
        const [folder = '', sha256 = ''] = key.slice(prefix.length).split('/', 2);
        if (object === undefined || !isContentOf(folder, sha256)) continue;
        if (key !== contentKey(bucket, sha256)) continue;
        if (contents.length === limit) return { contents, next: contents.at(-1)?.sha256 ?? sha256 };
        contents.push({ sha256, size: object.size, storedAt: object.lastModified });
      }
      if (nextToken === undefined) return { contents };
      afterKey = items.at(-1)?.key ?? afterKey;
    }
  });
}
