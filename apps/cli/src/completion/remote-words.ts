import type { HubClient } from '@holdfast/client/client';
import { joinedPath, lastSegment, parseLocation } from '../paths/location.ts';
import type { RemoteLocation } from '../paths/location.ts';
import { Remote } from '../paths/remote.ts';
import type { Candidate } from './words.ts';

/** More than that nobody reads; a shell asks before it shows as many. */
const MOST = 500;

/** The backends as arguments that name one. */
export async function backendNames(client: HubClient): Promise<Candidate[]> {
  const backends = await new Remote(client).backends();
  return backends.map(({ name, type }) => ({ text: name, summary: type }));
}

/** Paths on the hub's side that begin with a word; folders end in a slash. What is found is told at once. */
export async function remotePaths(
  client: HubClient,
  word: string,
  onFound: (found: Candidate) => void,
): Promise<void> {
  const remote = new Remote(client);
  const location = parseLocation(word);
  if (location.kind !== 'backend' && location.kind !== 'hub') {
    onFound({ text: 'hub:/', summary: 'what machines have sent' });
    for (const { text, summary } of await backendNames(client)) onFound({ text: `${text}:/`, summary });
    return;
  }
  const folder = folderOf(location);
  const prefix = word.slice(0, word.lastIndexOf('/') + 1);
  let count = 0;
  for await (const entry of remote.list(folder, false)) {
    const { location: found, type } = entry;
    const name = found.kind === 'hub' && type === 'host' ? found.host : lastSegment(found.path);
    const text = `${prefix}${name}${type === 'file' ? '' : '/'}`;
    if (!text.startsWith(word)) continue;
    onFound({ text, summary: type });
    count += 1;
    if (count === MOST) return;
  }
}

/** The folder of which a word names an entry, or begins to. */
function folderOf(location: RemoteLocation): RemoteLocation {
  const folder = location.path.slice(0, location.path.lastIndexOf('/') + 1);
  if (location.kind === 'backend')
    return { ...location, path: joinedPath(folder, '').replace(/(.)\/$/, '$1') };
  // "hub:/des" begins the name of a machine; "hub:/desk/" is what is in it.
  return location.path === '' ? { ...location, host: '' } : { ...location, path: folder.replace(/\/$/, '') };
}
