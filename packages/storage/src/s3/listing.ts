import {
  isReservedName,
  isRoot,
  joinBackendPath,
  MAX_PATH_BYTES,
  parseBackendPath,
  segmentProblem,
} from '@holdfast/bytes/backend-path';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import { HoldfastError } from '@holdfast/contract/errors';
import type { ListOptions, ListPage, StorageEntry } from '../backend.ts';
import { encodeCursor } from '../listing/cursor.ts';
import { parsePageRequest } from '../listing/page-request.ts';
import type { Bucket } from './bucket.ts';
import type { CallOptions } from './connection.ts';
import { fileEntry, folderEntry } from './entry.ts';
import { listKeys } from './key-pages.ts';
import { listInOrder } from './list-order.ts';
import type { Listed, NameSource } from './list-order.ts';

/** Keys that are asked for at least: a page costs the same for one as for some. */
const leastKeys = 100;

/**
 * One page of a folder, or of the whole tree below it, in the order of paths by code units. Folders are the common
 * beginnings of keys. Left out: the reserved area, and keys that no backend path can have (`a//b`, `../a`).
 *
 * @throws HoldfastError `file_not_found`, `not_a_directory`, `validation_failed` (limit, cursor), `backend_unavailable`,
 *   `wrong_volume`, `cancelled`
 */
export async function listFolder(bucket: Bucket, path: BackendPath, options: ListOptions): Promise<ListPage> {
  const { limit, after } = parsePageRequest(path, options);
  const doing = `Listing ${path}`;
  throwIfCancelled(options.signal, doing);
  return bucket.run(doing, 'read', options.signal, async () => {
    const call = { doing, signal: options.signal };
    const source = new FolderNames(
      bucket,
      path,
      options.recursive === true,
      Math.max(limit + 1, leastKeys),
      call,
    );
    const afterName = after === undefined ? undefined : after.slice(isRoot(path) ? 1 : path.length + 1);
    const [page] = await Promise.all([
      listInOrder(source, afterName, limit),
      isRoot(path) ? bucket.requireMarker(call) : undefined,
    ]);
    if (!page.sawAny && after === undefined && !isRoot(path)) await requireFolder(bucket, path, call);
    throwIfCancelled(options.signal, doing);
    const entries = page.listed.map((listed) => entryOf(path, listed));
    const last = entries.at(-1);
    return page.hasMore && last !== undefined
      ? { entries, nextCursor: encodeCursor(last.path) }
      : { entries };
  });
}

/** No key begins with the folder: says why. */
async function requireFolder(bucket: Bucket, path: BackendPath, call: CallOptions): Promise<void> {
  if ((await bucket.objectAt(path, call)) === undefined) throw await bucket.notFound(path, call);
  throw new HoldfastError('not_a_directory', `${path} is a file, not a folder, so it has nothing to list.`);
}

function entryOf(folder: BackendPath, { name, object }: Listed): StorageEntry {
  const path = name.includes('/') ? parseBackendPath(`${folder}/${name}`) : joinBackendPath(folder, name);
  return object === undefined ? folderEntry(path) : fileEntry(path, object);
}

/** The names below a folder of the bucket. */
class FolderNames implements NameSource {
  readonly #bucket: Bucket;
  readonly #isAtRoot: boolean;
  readonly #isRecursive: boolean;
  readonly #limit: number;
  readonly #call: CallOptions;
  readonly #prefix: string;
  /** Bytes of a name that still gives a path that is not too long. */
  readonly #maxNameBytes: number;

  constructor(bucket: Bucket, path: BackendPath, isRecursive: boolean, limit: number, call: CallOptions) {
    this.#bucket = bucket;
    this.#isAtRoot = isRoot(path);
    this.#isRecursive = isRecursive;
    this.#limit = Math.min(limit, 1000);
    this.#call = call;
    this.#prefix = bucket.keys.ofFolder(path);
    this.#maxNameBytes = MAX_PATH_BYTES - Buffer.byteLength(path) - 1;
  }

  async page(after: string | undefined, token: string | undefined): ReturnType<NameSource['page']> {
    const query = {
      prefix: this.#prefix,
      after: after === undefined ? undefined : this.#prefix + after,
      token,
      isDirect: !this.#isRecursive,
      limit: this.#limit,
    };
    const { items, nextToken } = await listKeys(this.#bucket.connection, query, this.#call);
    const names = items.map(({ key, object }) => {
      const name = key.slice(this.#prefix.length);
      return object === undefined ? { name } : { name, object };
    });
    return { names, nextToken };
  }

  async first(beginning: string, after?: string): Promise<string | undefined> {
    const prefix = this.#prefix + beginning;
    const query = { prefix, after: after === undefined ? undefined : this.#prefix + after, limit: 1 };
    const { items } = await listKeys(this.#bucket.connection, query, this.#call);
    return items[0]?.key.slice(this.#prefix.length);
  }

  isShown(name: string): boolean {
    const segments = name.split('/');
    if (this.#isAtRoot && isReservedName(segments[0] ?? '')) return false;
    return (
      segments.every((segment) => segmentProblem(segment) === undefined) &&
      Buffer.byteLength(name) <= this.#maxNameBytes
    );
  }

  skip(name: string): string | undefined {
    const slash = name.indexOf('/');
    if (!this.#isAtRoot || !this.#isRecursive || slash < 0) return undefined;
    const first = name.slice(0, slash);
    return isReservedName(first) ? `${first}/\u{10ffff}` : undefined;
  }
}
