import type { HubClient } from '@holdfast/client/client';
import { HoldfastError } from '@holdfast/contract/errors';
import type { HostFile } from '@holdfast/contract/host-files';
import { UsageError } from '../exit-codes.ts';
import { locationText, parseLocation } from '../paths/location.ts';

/** A machine, and a path on it; the path is empty for all that it has sent. */
export interface HostPlace {
  host: string;
  path: string;
}

/** @throws UsageError for anything but `hub:/HOST…` */
export function hostPlace(text: string): HostPlace {
  const location = parseLocation(text);
  if (location.kind === 'hub' && location.host !== '') return { host: location.host, path: location.path };
  throw new UsageError(`"${text}" is no file of a machine. Write hub:/HOST/path.`);
}

/**
 * All versions of a host file, the newest first, deleted ones included.
 * @throws HoldfastError `host_file_not_found` when there is none
 */
export async function versionsOf(
  client: HubClient,
  { host, path }: HostPlace,
  signal: AbortSignal,
): Promise<HostFile[]> {
  const versions: HostFile[] = [];
  const name = locationText({ kind: 'hub', host, path });
  if (path === '') throw new UsageError(`${name} is a machine. Name a file of it: hub:/HOST/path.`);
  const query = {
    hostname: host,
    path_prefix: path,
    status: 'all' as const,
    versions: 'all' as const,
    limit: 100,
  };
  for await (const file of client.all('listHostFiles', { query, signal })) {
    // The list is by path: the path itself comes before those that only begin with it.
    if (file.filepath !== path) break;
    versions.push(file);
  }
  if (versions.length > 0) return versions.toSorted((one, other) => other.version - one.version);
  throw new HoldfastError(
    'host_file_not_found',
    `No machine has sent ${name}. "holdfast ls hub:/${host}" lists what there is.`,
  );
}
