import { unlessCancelled } from '@holdfast/bytes/cancellation';
import type { ContentArea } from '../../../contents.ts';
import { storeSideBySide } from '../../../contents/small-contents.ts';
import type { Share } from '../share.ts';
import { StagedFiles } from './staged-files.ts';
import { shareStaging } from './staging.ts';
import { listContents, openContent, removeContent, statContent, storeContent } from './vault.ts';

/** Contents that are stored at the same time. */
const PARALLEL_STORES = 16;

/** The vault of a share by our own client. Disposing closes the files of uploads. */
export function shareContents(share: Share): ContentArea & AsyncDisposable {
  const files = new StagedFiles(share);
  return {
    staging: shareStaging(files),
    stat: (sha256, options) =>
      unlessCancelled(options?.signal, `Looking at the content ${sha256}`, () => statContent(share, sha256)),
    open: (sha256, options) =>
      unlessCancelled(
        options?.signal,
        `Opening the content ${sha256}`,
        () => openContent(share, sha256),
        (late) => late[Symbol.asyncDispose](),
      ),
    store: (source, options) => storeContent(share, source, options ?? {}),
    storeMany: (contents, options) =>
      storeSideBySide(
        contents,
        PARALLEL_STORES,
        ({ sha256, bytes }) =>
          storeContent(share, once(bytes), { expectedSha256: sha256, expectedSize: bytes.byteLength }),
        options?.signal,
      ),
    remove: (sha256) => removeContent(share, sha256),
    list: (options) => listContents(share, options),
    [Symbol.asyncDispose]: () => files[Symbol.asyncDispose](),
  };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
