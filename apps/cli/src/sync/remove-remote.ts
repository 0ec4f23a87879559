import { HoldfastError } from '@holdfast/contract/errors';
import type { SyncAction } from './entry.ts';
import type { RemotePlace } from './remote-tree.ts';
import type { SyncWork } from './work.ts';

/** Removals of one request. */
const GROUP = 1000;

/** Removes what the plan says from the hub's side; host files can be restored until the retention has passed. */
export async function removeRemote(work: SyncWork): Promise<void> {
  const { place, plan } = work;
  const emptied = new Set<string>();
  let group: SyncAction[] = [];
  const flush = async (): Promise<void> => {
    if (group.length === 0) return;
    if (place.kind === 'backend') await removeFiles(work, place, group, emptied);
    else await removeHostFiles(work, place, group);
    group = [];
  };
  for (const action of plan.actions({ kinds: ['remove'] })) {
    group.push(action);
    if (group.length === GROUP) await flush();
  }
  await flush();
  if (place.kind === 'backend') await pruneFolders(work, place, emptied);
}

async function removeFiles(
  { client, tally, signal }: SyncWork,
  { backendId, pathOf }: RemotePlace & { kind: 'backend' },
  group: readonly SyncAction[],
  emptied: Set<string>,
): Promise<void> {
  const byPath = new Map(group.map((action) => [pathOf(action.file.path), action]));
  const { failed } = await client.call('deleteFiles', {
    params: { id: backendId },
    body: { paths: [...byPath.keys()] },
    signal,
  });
  const reasons = new Map(failed.map((failure) => [failure.path, failure]));
  for (const [path, action] of byPath) {
    const reason = reasons.get(path);
    if (reason !== undefined && reason.code !== 'file_not_found') {
      tally.fail(action.file.path, new HoldfastError(reason.code, reason.detail));
      continue;
    }
    tally.done(action);
    const { path: own } = action.file;
    for (let slash = own.lastIndexOf('/'); slash !== -1; slash = own.lastIndexOf('/', slash - 1)) {
      const folder = own.slice(0, slash);
      if (emptied.has(folder)) break;
      emptied.add(folder);
      if (slash === 0) break;
    }
  }
}

/** Removes folders whose last file went, the deepest first; those that hold something else refuse, and stay. */
async function pruneFolders(
  { client, signal }: SyncWork,
  { backendId, pathOf }: RemotePlace & { kind: 'backend' },
  emptied: ReadonlySet<string>,
): Promise<void> {
  const folders = [...emptied].toSorted((a, b) => b.split('/').length - a.split('/').length);
  for (let from = 0; from < folders.length; from += GROUP) {
    const paths = folders.slice(from, from + GROUP).map(pathOf);
    await client.call('deleteFiles', { params: { id: backendId }, body: { paths }, signal });
  }
}

async function removeHostFiles(
  { client, tally, signal }: SyncWork,
  { hostname, pathOf }: RemotePlace & { kind: 'hub' },
  group: readonly SyncAction[],
): Promise<void> {
  const files = group.map(({ file }) => ({
    sha256: file.sha256 ?? '',
    filepath: pathOf(file.path),
    hostname,
  }));
  await client.call('deleteHostFiles', { body: { files }, signal });
  for (const action of group) tally.done(action);
}
