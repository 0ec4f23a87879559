import type { Catalog } from '@holdfast/catalog/catalog';
import type { HostFile, HostFileReach } from '@holdfast/catalog/host-files';
import { StreamDigest } from '@holdfast/bytes/sha256';
import { HoldfastError } from '@holdfast/contract/errors';
import type { OpenContent, Vault } from '../vault/vault.ts';
import { ArchiveNames } from './archive-names.ts';

/** Paths that the catalog is asked for at a time. */
const PAGE = 500;
/** Files that are opened while the one before is being sent: a tree of small files on a network would wait for each otherwise. */
const AHEAD = 4;

/** Which tree is wanted. */
export interface Tree {
  hostname: string;
  at: Date;
  pathPrefix: string | null;
  reach: HostFileReach;
}

/** One file of an archive. */
export interface ArchiveEntry {
  /** Relative and safe. */
  name: string;
  row: HostFile;
  content: OpenContent;
}

/** The files of a tree in the order of their paths, page by page. */
export async function* filesOf(
  catalog: Catalog,
  { hostname, at, pathPrefix, reach }: Tree,
): AsyncGenerator<HostFile, void, void> {
  let after: string | undefined;
  do {
    const page = await catalog.hostFiles.treeAt({
      hostname,
      at,
      reach,
      limit: PAGE,
      ...(pathPrefix === null ? {} : { pathPrefix }),
      ...(after === undefined ? {} : { after }),
    });
    yield* page.files;
    after = page.next;
  } while (after !== undefined);
}

/** Names the files and opens their contents, a few ahead. Whoever takes an entry disposes its file. */
export async function* openedEntries(
  files: AsyncIterator<HostFile, void, void>,
  vault: Vault,
  signal: AbortSignal,
): AsyncGenerator<ArchiveEntry, void, void> {
  const names = new ArchiveNames();
  const opening: Promise<ArchiveEntry>[] = [];
  let isEnd = false;
  try {
    for (;;) {
      while (!isEnd && opening.length <= AHEAD) {
        const next = await files.next();
        if (next.done === true) isEnd = true;
        else {
          const entry = open(next.value, names.take(next.value.filepath), vault, signal);
          entry.catch(() => undefined); // told when its turn comes
          opening.push(entry);
        }
      }
      const first = opening.shift();
      if (first === undefined) return;
      yield await first;
    }
  } finally {
    await files.return?.();
    await Promise.allSettled(opening.map(async (entry) => (await entry).content.file[Symbol.asyncDispose]()));
  }
}

async function open(row: HostFile, name: string, vault: Vault, signal: AbortSignal): Promise<ArchiveEntry> {
  return { name, row, content: await vault.open(row.sha256, { signal }) };
}

/**
 * The bytes of an entry; its file stays open. They must be those of its SHA-256.
 * @throws HoldfastError `checksum_mismatch` after the last byte; failures of the backend as they are
 */
export async function* verifiedBytes(
  { row, content }: ArchiveEntry,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, void> {
  const digest = new StreamDigest();
  for await (const piece of content.file.stream(undefined, { signal })) {
    digest.update(piece);
    if (digest.bytes > row.size) break;
    yield piece;
  }
  if (digest.bytes === row.size && digest.hex() === row.sha256) return;
  throw new HoldfastError(
    'checksum_mismatch',
    `${row.filepath} of ${row.hostname} came from its backend with other bytes than it was stored with; the archive was cut. Verify the backend.`,
  );
}
