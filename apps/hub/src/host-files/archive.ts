import type { Catalog } from '@holdfast/catalog/catalog';
import type { HostFileReach } from '@holdfast/catalog/host-files';
import { HoldfastError } from '@holdfast/contract/errors';
import type { Vault } from '../vault/vault.ts';
import { filesOf, openedEntries, type ArchiveEntry } from './archive-entries.ts';
import { tarOf } from './tar-archive.ts';
import { zipOf } from './zip-archive.ts';

export interface ArchiveRequest {
  hostname: string;
  format: 'tar' | 'zip';
  /** The tree as it was then. */
  at: Date;
  /** Only paths that begin with this text. */
  pathPrefix: string | null;
}

/** An archive whose first file is open; disposing closes what was not taken. */
export interface HostArchive extends AsyncDisposable {
  contentType: string;
  /** A name for the file that it is saved in. */
  fileName: string;
  /** The backend that keeps the first of the files. */
  backendId: string;
  /** Fails, so that the archive stays without its end, when a file does not verify or its backend goes away. */
  source: AsyncIterable<Uint8Array>;
}

/** @throws HoldfastError `host_file_not_found` when there is nothing within reach, `backend_unavailable` */
export async function openArchive(
  { hostname, format, at, pathPrefix }: ArchiveRequest,
  context: { catalog: Catalog; vault: Vault; reach: HostFileReach; signal: AbortSignal },
): Promise<HostArchive> {
  const { catalog, vault, reach, signal } = context;
  const entries = openedEntries(filesOf(catalog, { hostname, at, pathPrefix, reach }), vault, signal);
  const first = await entries.next();
  if (first.done === true) {
    const below = pathPrefix === null ? '' : ` whose path begins with ${pathPrefix}`;
    throw new HoldfastError(
      'host_file_not_found',
      `At ${at.toISOString()} there was no file of ${hostname}${below} within the reach of this key.`,
    );
  }
  let isTaken = false;
  async function* all(entry: ArchiveEntry): AsyncGenerator<ArchiveEntry, void, void> {
    isTaken = true;
    yield entry;
    yield* entries;
  }
  const source = (format === 'tar' ? tarOf : zipOf)(all(first.value), signal);
  return {
    contentType: format === 'tar' ? 'application/x-tar' : 'application/zip',
    fileName: `${hostname}-${at.toISOString().replace(/[-:]|\.\d+/g, '')}.${format}`,
    backendId: first.value.content.backendId,
    source,
    async [Symbol.asyncDispose]() {
      if (!isTaken) await first.value.content.file[Symbol.asyncDispose]();
      await entries.return();
    },
  };
}
