import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import type { ContentArea, ContentPage, StoredContent } from '../../contents.ts';
import { noSuchContent, requireContentName } from '../../contents/content-names.ts';
import { storeSideBySide } from '../../contents/small-contents.ts';
import { readVaultPage } from '../../contents/vault-page.ts';
import type { StorageEntry } from '../../backend.ts';
import type { Spool } from '../../spool/spool.ts';
import { deleteAt } from '../deleting.ts';
import type { Traits } from '../entry.ts';
import { readReserved } from '../folder-reading.ts';
import { HttpFile } from '../open-file.ts';
import type { Site } from '../site.ts';
import { contentPlace, findContent, VAULT } from './content-places.ts';
import { storeInVault } from './publishing.ts';
import { UploadStaging } from './upload-staging.ts';

/** Small contents that are on their way at a time. */
const storesAtATime = 8;

/** The contents of a web server. */
export function contentArea(site: Site, spool: Spool): ContentArea & AsyncDisposable {
  const staging = new UploadStaging(site, spool);
  return {
    staging,
    stat: async (sha256, options) => {
      const entry = await look(site, sha256, options?.signal);
      return entry === null ? null : { sha256, size: entry.size, storedAt: entry.modifiedAt };
    },
    open: async (sha256, options) => {
      const entry = await look(site, sha256, options?.signal);
      if (entry === null) throw noSuchContent(sha256);
      return new HttpFile(site, contentPlace(sha256), entry);
    },
    store: async (source, options = {}) => {
      throwIfCancelled(options.signal, 'Storing a content');
      await site.enter(options.signal);
      return storeInVault(site, source, { label: 'The content', ...options });
    },
    storeMany: async (contents, options) => {
      throwIfCancelled(options?.signal, 'Storing contents');
      await site.enter(options?.signal);
      const store = async ({
        sha256,
        bytes,
      }: {
        sha256: string;
        bytes: Uint8Array;
      }): Promise<{ stored: boolean }> => {
        if ((await findContent(site, sha256, options?.signal))?.size === bytes.byteLength)
          return { stored: false };
        const label = `The content ${sha256}`;
        const expectedSize = bytes.byteLength;
        return storeInVault(site, once(bytes), { label, expectedSize, signal: options?.signal });
      };
      const outcomes = await storeSideBySide(contents, storesAtATime, store, options?.signal);
      return outcomes.map((outcome) => ('error' in outcome ? outcome : { stored: outcome.stored }));
    },
    remove: async (sha256) => {
      const segments = contentPlace(sha256);
      await site.enter();
      return deleteAt(site, segments, { isFolder: false, doing: `Removing the content ${sha256}` });
    },
    list: (options) => listContents(site, options),
    [Symbol.asyncDispose]: () => staging[Symbol.asyncDispose](),
  };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function look(
  site: Site,
  sha256: string,
  signal: AbortSignal | undefined,
): Promise<StorageEntry | null> {
  requireContentName(sha256);
  throwIfCancelled(signal, `Looking at the content ${sha256}`);
  const entry = await findContent(site, sha256, signal);
  // Nothing there, or not our volume?
  if (entry === null) await site.enter(signal);
  return entry;
}

async function listContents(site: Site, options: { after?: string; limit: number }): Promise<ContentPage> {
  await site.enter();
  const traitsOf = new Map<string, Traits>();
  return readVaultPage(
    {
      folders: async () => ((await readReserved(site, VAULT)) ?? []).map(({ name }) => name),
      names: async (folder) => {
        const listed = (await readReserved(site, [...VAULT, folder])) ?? [];
        traitsOf.clear();
        for (const { name, traits } of listed) if (!traits.isFolder) traitsOf.set(name, traits);
        return [...traitsOf.keys()];
      },
      look: (sha256) => lookAtListed(site, sha256, traitsOf.get(sha256)),
    },
    options,
  );
}

/** What a listing told of a content; a listing that does not tell all is followed by a look. */
async function lookAtListed(
  site: Site,
  sha256: string,
  traits: Traits | undefined,
): Promise<StoredContent | null> {
  if (traits?.size !== undefined && traits.modifiedMs !== undefined) {
    return { sha256, size: traits.size, storedAt: new Date(traits.modifiedMs) };
  }
  const entry = await findContent(site, sha256);
  return entry === null ? null : { sha256, size: entry.size, storedAt: entry.modifiedAt };
}
