import type { HubClient } from '@holdfast/client/client';
import type { DownloadWhat } from '@holdfast/client/node/download-source';
import type { Backend } from '@holdfast/contract/backends';
import { HoldfastError, isHoldfastError } from '@holdfast/contract/errors';
import type { StorageFile } from '@holdfast/contract/files';
import type { Host, HostFile } from '@holdfast/contract/host-files';
import { joinedPath, lastSegment, locationText } from './location.ts';
import type { RemoteLocation } from './location.ts';

/** Something on the hub's side. */
export interface RemoteEntry {
  location: RemoteLocation;
  type: 'file' | 'directory' | 'backend' | 'host';
  size: number | null;
  /** ISO 8601. */
  modifiedAt: string | null;
  sha256: string | null;
  /** What the hub says of it, by its kind. */
  file?: StorageFile;
  backendId?: string;
  hostFile?: HostFile;
  host?: Host;
}

/** The hub's side as one tree: backends and machines, folders and files. */
export class Remote {
  readonly #client: HubClient;
  #backends: Promise<Backend[]> | undefined;

  constructor(client: HubClient) {
    this.#client = client;
  }

  /** All backends that the key may see. */
  backends(): Promise<Backend[]> {
    this.#backends ??= this.#client.call('listBackends').then(({ data }) => data);
    return this.#backends;
  }

  /**
   * The identifier of a backend by its name, then by its identifier.
   * @throws HoldfastError `backend_not_found` naming those that exist
   */
  async backendId(name: string): Promise<string> {
    let all: Backend[];
    try {
      all = await this.backends();
    } catch (error) {
      // A key that may not list the backends can still name one by its identifier.
      if (isHoldfastError(error, 'forbidden')) return name;
      throw error;
    }
    const found = all.find((one) => one.name === name) ?? all.find((one) => one.id === name);
    if (found !== undefined) return found.id;
    const names = all.map((one) => one.name).join(', ');
    throw new HoldfastError(
      'backend_not_found',
      `There is no backend "${name}". There are: ${names || 'none'}.`,
    );
  }

  /** What is at a place. @throws HoldfastError `file_not_found`, `host_file_not_found`, `backend_not_found` */
  async stat(location: RemoteLocation): Promise<RemoteEntry> {
    if (location.kind === 'hub') return await this.#statHub(location);
    const backendId = await this.backendId(location.backend);
    const path = location.path.replace(/(.)\/+$/, '$1');
    if (path === '/') return folder(location, backendId);
    const parent = path.slice(0, Math.max(1, path.lastIndexOf('/')));
    const name = lastSegment(path);
    const query = { path: parent, limit: 1000 };
    for await (const file of this.#client.all('listFiles', { params: { id: backendId }, query })) {
      if (file.name === name) return storageEntry(location.backend, backendId, file);
    }
    throw new HoldfastError('file_not_found', `There is no ${locationText({ ...location, path })}.`);
  }

  /** What is in a folder; with `isRecursive` all files and folders below it. */
  async *list(location: RemoteLocation, isRecursive: boolean): AsyncGenerator<RemoteEntry> {
    if (location.kind === 'hub') {
      yield* this.#listHub(location, isRecursive);
      return;
    }
    const backendId = await this.backendId(location.backend);
    const query = { path: location.path, recursive: isRecursive, limit: 1000 };
    for await (const file of this.#client.all('listFiles', { params: { id: backendId }, query })) {
      yield storageEntry(location.backend, backendId, file);
    }
  }

  async #statHub(location: RemoteLocation & { kind: 'hub' }): Promise<RemoteEntry> {
    if (location.host === '') return folder(location);
    if (location.path === '') {
      for await (const host of this.#client.all('listHosts', { query: { limit: 1000 } })) {
        if (host.hostname === location.host) return hostEntry(host);
      }
    } else {
      const query = { hostname: location.host, path_prefix: location.path.replace(/\/+$/, ''), limit: 1 };
      const { files } = await this.#client.call('listHostFiles', { query });
      const [first] = files;
      if (first?.filepath === location.path) return hostFileEntry(first);
      const inside = { ...query, path_prefix: asFolder(location.path) };
      if ((await this.#client.call('listHostFiles', { query: inside })).files.length > 0)
        return folder(location);
    }
    throw new HoldfastError('host_file_not_found', `No machine has sent ${locationText(location)}.`);
  }

  async *#listHub(
    location: RemoteLocation & { kind: 'hub' },
    isRecursive: boolean,
  ): AsyncGenerator<RemoteEntry> {
    const { host, path } = location;
    if (host === '' && !isRecursive) {
      for await (const one of this.#client.all('listHosts', { query: { limit: 1000 } })) yield hostEntry(one);
      return;
    }
    const prefix = path === '' ? '' : asFolder(path);
    const query = {
      limit: 1000,
      ...(host === '' ? {} : { hostname: host }),
      ...(prefix === '' ? {} : { path_prefix: prefix }),
    };
    const folders = new Set<string>();
    for await (const file of this.#client.all('listHostFiles', { query })) {
      const [, child] = isRecursive
        ? []
        : (/^([/\\]?[^/\\]*)[/\\]/.exec(file.filepath.slice(prefix.length)) ?? []);
      if (child === undefined) yield hostFileEntry(file);
      else if (!folders.has(child)) {
        folders.add(child);
        yield folder({ kind: 'hub', host: file.hostname, path: prefix + child });
      }
    }
  }
}

/** What to download for a file. */
export function downloadOf(entry: RemoteEntry): DownloadWhat {
  if (entry.hostFile !== undefined) return { sha256: entry.hostFile.sha256 };
  if (entry.backendId !== undefined && entry.file?.type === 'file') {
    return { backend_id: entry.backendId, path: entry.file.path };
  }
  throw new HoldfastError(
    'is_a_directory',
    `${locationText(entry.location)} is a folder. Give -r for all that it holds.`,
  );
}

/** A destination that is a folder (it ends in a slash) takes the name of the source. */
export function destinationPath(path: string, sourceName: string): string {
  return path.endsWith('/') ? joinedPath(path, sourceName) : path;
}

function asFolder(path: string): string {
  return /[/\\]$/.test(path) ? path : `${path}${path.includes('\\') && !path.startsWith('/') ? '\\' : '/'}`;
}

function folder(location: RemoteLocation, backendId?: string): RemoteEntry {
  const type = location.kind === 'backend' ? 'backend' : 'directory';
  return {
    location,
    type,
    size: null,
    modifiedAt: null,
    sha256: null,
    ...(backendId === undefined ? {} : { backendId }),
  };
}

function storageEntry(backend: string, backendId: string, file: StorageFile): RemoteEntry {
  return {
    location: { kind: 'backend', backend, path: file.path },
    type: file.type,
    size: file.type === 'file' ? file.size : null,
    modifiedAt: file.modified_at,
    sha256: file.checksum_sha256,
    file,
    backendId,
  };
}

function hostFileEntry(hostFile: HostFile): RemoteEntry {
  return {
    location: { kind: 'hub', host: hostFile.hostname, path: hostFile.filepath },
    type: 'file',
    size: hostFile.file_size,
    modifiedAt: hostFile.mtime,
    sha256: hostFile.sha256,
    hostFile,
  };
}

function hostEntry(host: Host): RemoteEntry {
  const location = { kind: 'hub' as const, host: host.hostname, path: '' };
  return { location, type: 'host', size: host.bytes, modifiedAt: host.last_seen_at, sha256: null, host };
}
