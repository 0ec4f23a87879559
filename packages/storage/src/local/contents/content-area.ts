import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import type { ContentArea } from '../../contents.ts';
import { storeSideBySide } from '../../contents/small-contents.ts';
import type { Volume } from '../volume.ts';
import { storeManyLocally } from './batch.ts';
import { StagedFiles } from './staged-files.ts';
import { localStaging } from './staging.ts';
import { listContents, openContent, removeContent, statContent, storeContent } from './vault.ts';

/** Contents of a tree across a network that are stored at the same time. */
const PARALLEL_STORES = 8;

/** The vault of a local tree. Disposing closes the descriptors of uploads. */
export function localContents(volume: Volume): ContentArea & AsyncDisposable {
  const files = new StagedFiles(volume);
  return {
    staging: localStaging(files),
    stat: async (sha256, options) => {
      throwIfCancelled(options?.signal, `Looking at the content ${sha256}`);
      return statContent(volume, sha256);
    },
    open: async (sha256, options) => {
      throwIfCancelled(options?.signal, `Opening the content ${sha256}`);
      return openContent(volume, sha256);
    },
    store: (source, options) => storeContent(volume, source, options ?? {}),
    storeMany: async (contents, options) => {
      if (volume.verifyStaged === undefined) return storeManyLocally(volume, contents, options?.signal);
      return storeSideBySide(
        contents,
        PARALLEL_STORES,
        ({ sha256, bytes }) => storeContent(volume, once(bytes), { expectedSha256: sha256 }),
        options?.signal,
      );
    },
    remove: (sha256) => removeContent(volume, sha256),
    list: (options) => listContents(volume, options),
    [Symbol.asyncDispose]: () => files[Symbol.asyncDispose](),
  };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
