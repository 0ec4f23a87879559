import type { BackendPath } from '@holdfast/bytes/backend-path';
import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import type {
  CopyOptions,
  ListOptions,
  MoveOptions,
  ProbeReport,
  StorageBackend,
  WriteOptions,
} from '../backend.ts';
import type { Caller } from './calls/caller.ts';
import { RemoteFile } from './calls/remote-file.ts';
import { contentOperations } from './content-operations.ts';
import { remoteWrite } from './calls/remote-write.ts';

type Signalled = { signal?: AbortSignal } | undefined;

/** The operations on the files of a mounted LUN, all of them but those that concern the LUN itself. */
export type FileOperations = Required<
  Omit<StorageBackend, 'type' | 'capabilities' | 'probe' | 'freshness' | typeof Symbol.asyncDispose>
> & { probe(options?: { signal?: AbortSignal }): Promise<ProbeReport> };

/** @param connect gives the channel to the process that has the LUN mounted */
export function fileOperations(
  connect: (signal?: AbortSignal) => Promise<Caller>,
  volume: { volumeId: string; ownerId: string },
): FileOperations {
  return {
    probe: async (options: Signalled) =>
      (await connect(options?.signal)).call('probe', volume, { signal: options?.signal, label: 'The check' }),
    stat: async (path: BackendPath, options: Signalled) => {
      const label = `Looking at ${path}`;
      throwIfCancelled(options?.signal, label);
      return (await connect(options?.signal)).call(
        'stat',
        { ...volume, path },
        { signal: options?.signal, label },
      );
    },
    list: async (path: BackendPath, options: ListOptions = {}) => {
      const { recursive, limit, cursor, signal } = options;
      const params = { ...volume, path, recursive, limit, cursor };
      const { entries, nextCursor, total } = await (
        await connect(signal)
      ).call('list', params, { signal, label: `Listing ${path}` });
      return {
        entries,
        ...(nextCursor === undefined ? {} : { nextCursor }),
        ...(total === undefined ? {} : { total }),
      };
    },
    open: async (path: BackendPath, options: Signalled) => {
      const label = `Opening ${path}`;
      throwIfCancelled(options?.signal, label);
      const caller = await connect(options?.signal);
      const opening = caller.begin('open', { ...volume, path });
      const { fileId, entry } = await caller.finish('open', opening);
      const file = new RemoteFile(caller, fileId, entry);
      if (options?.signal?.aborted === true) await file[Symbol.asyncDispose]();
      throwIfCancelled(options?.signal, label);
      return file;
    },
    write: async (path: BackendPath, source: AsyncIterable<Uint8Array>, options: WriteOptions = {}) => {
      const { expectedSha256, expectedSize, ifAbsent, signal } = options;
      throwIfCancelled(signal, `Writing ${path}`);
      const params = { ...volume, path, expectedSha256, expectedSize, ifAbsent };
      return remoteWrite(await connect(signal), params, source, options);
    },
    remove: async (path: BackendPath, options: { recursive?: boolean; signal?: AbortSignal } = {}) => {
      const { recursive, signal } = options;
      return (await connect(signal)).call(
        'remove',
        { ...volume, path, recursive },
        { signal, label: `Removing ${path}` },
      );
    },
    move: async (from: BackendPath, to: BackendPath, options: MoveOptions = {}) => {
      const { overwrite, signal } = options;
      return (await connect(signal)).call(
        'move',
        { ...volume, from, to, overwrite },
        { signal, label: `Moving ${from}` },
      );
    },
    copy: async (from: BackendPath, to: BackendPath, options: CopyOptions = {}) => {
      const { overwrite, expectedSha256, signal } = options;
      const params = { ...volume, from, to, overwrite, expectedSha256 };
      return (await connect(signal)).call('copy', params, { signal, label: `Copying ${from}` });
    },
    makeFolder: async (path: BackendPath) =>
      (await connect()).call('makeFolder', { ...volume, path }, { label: `Making the folder ${path}` }),
    usage: async (options: Signalled) =>
      (await connect(options?.signal)).call('usage', volume, {
        signal: options?.signal,
        label: 'Asking for the usage',
      }),
    countChildren: async (path: BackendPath) =>
      (await connect()).call('countChildren', { ...volume, path }, { label: `Counting what is in ${path}` }),
    contents: contentOperations(connect, volume),
    sweep: async () => (await connect()).call('sweep', volume, { label: 'Sweeping the staging folder' }),
  };
}
