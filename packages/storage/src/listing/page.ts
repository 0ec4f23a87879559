import type { BackendPath } from '@holdfast/bytes/backend-path';
import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import type { ListOptions, ListPage } from '../backend.ts';
import { encodeCursor } from './cursor.ts';
import type { PageRequest } from './page-request.ts';
import { childrenAfter, treeAfter } from './tree-order.ts';
import type { Listed, TreeReading } from './tree-order.ts';

/** What a page shows, before its entries are looked at. */
export interface PageOfNames<C> {
  shown: Listed<C>[];
  /** The rest of the page's answer. */
  outline: Pick<ListPage, 'nextCursor' | 'total'>;
}

/**
 * One page of a folder that was read, or of the whole tree below it with `recursive`.
 * @param children what is in the folder, by name in code units
 * @throws HoldfastError `cancelled`; what `readBelow` throws
 */
export async function readPage<C extends { name: string }>(
  folder: BackendPath,
  children: readonly C[],
  reading: TreeReading<C>,
  { limit, after }: PageRequest,
  { recursive = false, signal }: Pick<ListOptions, 'recursive' | 'signal'>,
): Promise<PageOfNames<C>> {
  const listed: Listed<C>[] = [];
  const sequence = recursive
    ? treeAfter(folder, children, reading, after)
    : childrenAfter(folder, children, after);
  for await (const item of sequence) {
    throwIfCancelled(signal, `Listing ${folder}`);
    listed.push(item);
    if (listed.length > limit) break;
  }
  const shown = listed.slice(0, limit);
  const last = shown.at(-1);
  return {
    shown,
    outline: {
      ...(listed.length > limit && last !== undefined ? { nextCursor: encodeCursor(last.path) } : {}),
      ...(recursive ? {} : { total: children.length }),
    },
  };
}
