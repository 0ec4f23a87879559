import type { BackendPath } from '@holdfast/bytes/backend-path';
import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import type { Capabilities, OpenFile, StorageBackend } from './backend.ts';
import { segmentsAt } from './http/address.ts';
import { parseHttpConfig } from './http/config.ts';
import type { HttpConfig } from './http/config.ts';
import { contentArea } from './http/contents/content-area.ts';
import { copyFile } from './http/copying.ts';
import { readFolder } from './http/folder-reading.ts';
import { listFolder } from './http/listing.ts';
import { lookUp } from './http/lookup.ts';
import { makeFolder } from './http/making-folders.ts';
import { moveEntry } from './http/moving.ts';
import { HttpFile } from './http/open-file.ts';
import { probeSite } from './http/probing.ts';
import { removeEntry } from './http/removing.ts';
import { Site } from './http/site.ts';
import type { SiteLogger } from './http/site.ts';
import { sweepStaging } from './http/sweeping.ts';
import { requireUsage } from './http/usage.ts';
import { writeFile } from './http/writing.ts';
import { isAFolder } from './path-rules/refusals.ts';
import { Spool } from './spool/spool.ts';

export { prepareHttp } from './http/prepare.ts';
export type { HttpConfig } from './http/config.ts';

export interface HttpBackendOptions extends HttpConfig {
  /** The id that `prepareHttp` gave. */
  volumeId: string;
  /** Marks what this hub stages, so that a sweep tells its own from others'. */
  ownerId: string;
  /** Told of failures that did not harm an operation. */
  logger?: SiteLogger;
  /** Milliseconds without a sign of life after which the server counts as dead. Default 30,000. */
  timeLimitMs?: number;
  /**
   * A folder of this hub and backend alone, where uploads are gathered until they are sent. Without it, or when nothing
   * can be written, there is no `contents`.
   */
  spoolDir?: string;
  /** Bytes that lie in `spoolDir` at most, and so of one upload. Default 64 GiB. */
  spoolBytes?: number;
}

const defaultTimeLimitMs = 30_000;
/** Uploads lie there as a whole, so that they need more room than where parts are sent on. */
const defaultSpoolBytes = 64 * 1024 ** 3;

async function openFile(site: Site, path: BackendPath, signal: AbortSignal | undefined): Promise<OpenFile> {
  throwIfCancelled(signal, `Opening ${path}`);
  const entry = await lookUp(site, path, signal);
  if (entry === null) throw await site.notFound(path, signal);
  if (entry.type === 'directory') throw isAFolder(path);
  return new HttpFile(site, segmentsAt(path), entry);
}

/**
 * A web server as a backend: read-only with any, writable with WebDAV. Nothing is connected before it is used; idle
 * connections do not keep the process alive. `usage` comes and goes with what the server was seen to tell at the last
 * check (`probe`).
 *
 * @throws HoldfastError `validation_failed` for a configuration that `prepareHttp` would refuse by itself
 */
export function createHttpBackend(options: HttpBackendOptions): StorageBackend {
  const target = parseHttpConfig(options);
  const { volumeId, ownerId, logger, timeLimitMs = defaultTimeLimitMs } = options;
  const site = new Site(target, { volumeId, ownerId, logger, timeLimitMs });
  const { writable } = target;
  const { spoolDir: folder, spoolBytes: limitBytes = defaultSpoolBytes } = options;
  const contents =
    folder === undefined || !writable ? undefined : contentArea(site, new Spool({ folder, limitBytes }));
  return {
    type: 'http',
    get capabilities(): Capabilities {
      return {
        writable,
        move: writable,
        copy: writable,
        folders: writable,
        usage: site.tellsUsage,
        positionalRead: false,
      };
    },
    probe: (probe) => probeSite(site, probe?.signal),
    stat: async (path, stat) => {
      throwIfCancelled(stat?.signal, `Looking at ${path}`);
      const entry = await lookUp(site, path, stat?.signal);
      if (entry === null) throw await site.notFound(path, stat?.signal);
      return entry;
    },
    list: (path, list) => listFolder(site, path, list ?? {}),
    open: (path, open) => openFile(site, path, open?.signal),
    write: (path, source, write) => writeFile(site, path, source, write ?? {}),
    remove: (path, remove) => removeEntry(site, path, remove ?? {}),
    ...(writable
      ? {
          move: (from: BackendPath, to: BackendPath, move = {}) => moveEntry(site, from, to, move),
          copy: (from: BackendPath, to: BackendPath, copy = {}) => copyFile(site, from, to, copy),
          makeFolder: (path: BackendPath) => makeFolder(site, path),
        }
      : {}),
    get usage(): StorageBackend['usage'] {
      return site.tellsUsage ? (usage) => requireUsage(site, usage?.signal) : undefined;
    },
    countChildren: async (path) => (await readFolder(site, path)).length,
    ...(contents === undefined ? {} : { contents }),
    sweep: () => sweepStaging(site),
    [Symbol.asyncDispose]: async () => {
      await contents?.[Symbol.asyncDispose]();
      await site[Symbol.asyncDispose]();
    },
  };
}
