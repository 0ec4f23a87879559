import type { BackendPath } from '@holdfast/bytes/backend-path';
import { HoldfastError } from '@holdfast/contract/errors';
import type { StorageEntry } from '../backend.ts';
import type { Segments } from './address.ts';
import { statusError } from './failure.ts';
import { lookUpAt } from './lookup.ts';
import { isPassing } from './retrying.ts';
import type { Site } from './site.ts';

const attempts = 3;

export interface Relocation {
  from: Segments;
  to: Segments;
  isFolder: boolean;
  /** False: only when nothing is at the destination. */
  overwrite: boolean;
  /** What both ends are called in entries; the source may be in the reserved area. */
  path: BackendPath;
  /** Validator of what is moved, to know it again. */
  validator: string | undefined;
  doing: string;
}

/**
 * Moves by WebDAV MOVE (RFC 4918 §9.9). When the connection breaks before the answer comes, a look at both ends tells
 * what has happened: the source is still there and the move is sent again, or it stands at the destination.
 *
 * @returns `taken` when something is at the destination and must not be overwritten
 * @throws HoldfastError `backend_unavailable`, also when it cannot be told whether the move has happened; what
 *   `statusError` makes of other refusals
 */
export async function relocate(site: Site, move: Relocation): Promise<'moved' | 'taken'> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await sendMove(site, move);
    } catch (error) {
      if (!isPassing(error)) throw error;
      if (await hasArrived(site, move, error)) return 'moved';
      if (attempt === attempts) throw error;
    }
  }
}

async function sendMove(site: Site, move: Relocation): Promise<'moved' | 'taken'> {
  const { doing, isFolder, overwrite } = move;
  const url = site.addresses.of(move.from, { asFolder: isFolder });
  const destination = site.addresses.of(move.to, { asFolder: isFolder });
  const send = async (address: string): Promise<number> => {
    const headers = { destination: address, overwrite: overwrite ? 'T' : 'F' };
    // No signal: a move that was begun is followed to its end, or its outcome would not be known.
    const reply = await site.connection.send({ method: 'MOVE', url, headers, doing });
    await reply.discard();
    return reply.status;
  };
  let status = await send(destination.href);
  // Behind a proxy the server may not know its own name: then 502 (RFC 4918 §9.9.4) or 400; the path alone will do.
  if (status === 502 || status === 400) status = await send(destination.pathname);
  if (status === 201 || status === 204) return 'moved';
  // nginx answers 409 where a file would take a folder's place, Apache redirects.
  if (status === 412 || (!overwrite && (status === 409 || status === 301))) return 'taken';
  throw statusError(status, doing, 'write');
}

async function hasArrived(site: Site, move: Relocation, broken: unknown): Promise<boolean> {
  const [from, to] = [await lookUpAt(site, move.from, move.path), await lookUpAt(site, move.to, move.path)];
  if (from !== null) return false;
  if (to !== null && isSame(to, move)) return true;
  const text = `${move.doing} was interrupted, and it cannot be told whether it was done. Look at the path, then try again.`;
  throw new HoldfastError('backend_unavailable', text, { cause: broken });
}

function isSame(entry: StorageEntry, { isFolder, validator }: Relocation): boolean {
  return isFolder
    ? entry.type === 'directory'
    : entry.type === 'file' && entry.validator === (validator ?? entry.validator);
}
