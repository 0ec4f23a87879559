import type { Catalog } from '@holdfast/catalog/catalog';
import type { SmallContent } from '@holdfast/storage/contents';
import { mapBounded } from '@holdfast/storage/concurrency/bounded';
import { mismatchOf } from '@holdfast/storage/contents/small-contents';
import type { VaultBackend } from './vault-backends.ts';
import type { ContentPresence } from './vault.ts';

/** Questions to storages under way at once. */
const SIDE_BY_SIDE = 16;

/**
 * What became of one of many small contents: `stored`, the file is on that backend now and its row is still to be written;
 * `duplicate`, row and bytes were there; `failed`, only this one was not stored.
 */
export type StoredOutcome =
  | { kind: 'stored' | 'duplicate'; backendId: string }
  | { kind: 'failed'; error: Error };

/**
 * Under the locks of all: stores the contents that are not kept yet. Outcomes in the order of the contents. Bytes that are not
 * what their digest says are refused: a storage hashes all that it stores, and what it may not come to see is hashed here.
 */
export async function storeManyContents(
  contents: readonly SmallContent[],
  options: {
    backend: VaultBackend;
    catalog: Catalog;
    presence: (sha256: string) => Promise<ContentPresence>;
    /** Removes a copy that is damaged, right before a new one is stored. */
    dropDamaged: (sha256: string) => Promise<void>;
    signal: AbortSignal | undefined;
  },
): Promise<StoredOutcome[]> {
  const { backend, catalog } = options;
  const outcomes = new Map<string, StoredOutcome>();
  const groups = Map.groupBy(contents, ({ sha256 }) => sha256);
  const known = await catalog.contents.getMany([...groups.keys()]);
  const refused = new Map<SmallContent, StoredOutcome>();
  for (const [sha256, group] of groups) {
    if (group.length === 1 && !known.has(sha256)) continue;
    for (const content of group) {
      const error = mismatchOf(content);
      if (error !== undefined) refused.set(content, { kind: 'failed', error });
    }
  }
  const unique = new Map(
    contents.filter((content) => !refused.has(content)).map((content) => [content.sha256, content]),
  );
  const knownAndGiven = [...known.keys()].filter((sha256) => unique.has(sha256));
  await mapBounded(knownAndGiven, SIDE_BY_SIDE, async (sha256) => {
    try {
      const presence = await options.presence(sha256);
      if (presence.kind === 'kept')
        outcomes.set(sha256, { kind: 'duplicate', backendId: presence.backendId });
      else if (presence.kind === 'lost') await options.dropDamaged(sha256);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      outcomes.set(sha256, { kind: 'failed', error });
    }
  });

  const toStore = [...unique.values()].filter(({ sha256 }) => !outcomes.has(sha256));
  if (toStore.length > 0) {
    const { signal } = options;
    const answers = await backend.contents.storeMany(toStore, signal === undefined ? {} : { signal });
    for (const [index, content] of toStore.entries()) {
      const { sha256 } = content;
      const answer = answers[index];
      if (answer === undefined) throw new RangeError('the storage left an answer out');
      if ('error' in answer) outcomes.set(sha256, { kind: 'failed', error: answer.error });
      else outcomes.set(sha256, { kind: 'stored', backendId: backend.id });
    }
  }
  return contents.map((content) => {
    const outcome = refused.get(content) ?? outcomes.get(content.sha256);
    if (outcome === undefined) throw new RangeError(`${content.sha256} was left out`);
    return outcome;
  });
}
