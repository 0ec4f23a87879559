import type { HubClient } from '@holdfast/client/client';
import { isHoldfastError } from '@holdfast/contract/errors';
import { UsageError } from '../exit-codes.ts';
import { joinedPath } from '../paths/location.ts';
import type { RemoteLocation } from '../paths/location.ts';
import { Remote } from '../paths/remote.ts';
import type { Skipped, SyncFile } from './entry.ts';
import type { IgnoreRules } from './ignore-rules.ts';
import { byCodePoints, byCodeUnits } from './order.ts';
import type { PathOrder } from './order.ts';

const PAGE = 1000;
/** The most characters of a host file's path. */
const MOST_FILEPATH = 4096;

/** A folder on the hub's side: the files below it, and where each of them is. */
export interface RemoteTree {
  /** The order of `files`. */
  order: PathOrder;
  /** All files. @param rules what is left alone; what has no place on this machine is told to `onSkipped` */
  files: (rules: IgnoreRules, onSkipped: (skipped: Skipped) => void) => AsyncGenerator<SyncFile>;
  place: RemotePlace;
}

/** How the folder is addressed in calls. */
export type RemotePlace =
  | { kind: 'backend'; backendId: string; pathOf: (path: string) => string }
  | { kind: 'hub'; hostname: string; pathOf: (path: string) => string };

/**
 * The folder that a location names.
 * @throws UsageError for `hub:/` without a machine, and for paths of Windows machines
 * @throws HoldfastError `backend_not_found`
 */
export async function remoteTree(client: HubClient, location: RemoteLocation): Promise<RemoteTree> {
  const root = location.path.replace(/\/+$/, '');
  const pathOf = (path: string): string => joinedPath(root, path);
  const cut = root.length + 1;
  if (location.kind === 'backend') {
    const backendId = await new Remote(client).backendId(location.backend);
    return {
      order: byCodeUnits,
      place: { kind: 'backend', backendId, pathOf },
      files: (rules, onSkipped) => safe(backendFiles(client, backendId, root, cut), rules, onSkipped),
    };
  }
  const hostname = location.host;
  if (hostname === '') throw new UsageError('Name the machine: hub:/HOST or hub:/HOST/path.');
  if (root !== '' && !root.startsWith('/')) {
    throw new UsageError(`sync takes paths with slashes only, not ${root}. Use get -r for files of Windows.`);
  }
  return {
    order: byCodePoints,
    place: { kind: 'hub', hostname, pathOf },
    files: (rules, onSkipped) => safe(hostFiles(client, hostname, root, cut), rules, onSkipped),
  };
}

async function* backendFiles(
  client: HubClient,
  backendId: string,
  root: string,
  cut: number,
): AsyncGenerator<SyncFile> {
  const query = { path: root === '' ? '/' : root, recursive: true, limit: PAGE };
  for await (const file of client.all('listFiles', { params: { id: backendId }, query })) {
    if (file.type !== 'file') continue;
    yield {
      path: file.path.slice(cut),
      size: file.size,
      mtimeMs: Date.parse(file.modified_at),
      mode: null,
      sha256: file.checksum_sha256,
      stamp: null,
    };
  }
}

async function* hostFiles(
  client: HubClient,
  hostname: string,
  root: string,
  cut: number,
): AsyncGenerator<SyncFile> {
  for await (const file of client.all('listHostFiles', {
    query: { hostname, path_prefix: `${root}/`, limit: PAGE },
  })) {
    yield {
      path: file.filepath.slice(cut),
      size: file.file_size,
      mtimeMs: file.mtime === null ? null : Date.parse(file.mtime),
      mode: file.mode,
      sha256: file.sha256,
      stamp: null,
    };
  }
}

/** Names that a hub may keep but that would lead out of a folder here, or that no file system takes, are left out. */
async function* safe(
  files: AsyncGenerator<SyncFile>,
  rules: IgnoreRules,
  onSkipped: (skipped: Skipped) => void,
): AsyncGenerator<SyncFile> {
  for await (const file of files) {
    if (file.path.split('/').some((part) => part === '' || part === '.' || part === '..')) {
      const detail = 'Its path has an empty, "." or ".." part, which no folder can hold.';
      onSkipped({ path: file.path, code: 'invalid_path', detail, isFailure: true });
    } else if (!rules.ignoresFile(file.path)) yield file;
  }
}

/** The files of a folder that need not exist: none when it does not. */
export async function* orNone(files: AsyncGenerator<SyncFile>): AsyncGenerator<SyncFile> {
  try {
    yield* files;
  } catch (error) {
    if (!isHoldfastError(error, 'file_not_found')) throw error;
  }
}

/** Why the hub cannot keep a host file under this path, or null. */
export function hostPathProblem(path: string): string | null {
  return path.length > MOST_FILEPATH ? `Its path has more than ${MOST_FILEPATH} characters.` : null;
}
