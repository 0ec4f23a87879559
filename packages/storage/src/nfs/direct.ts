import { throwIfCancelled, unlessCancelled } from '@holdfast/bytes/cancellation';
import { hostname } from 'node:os';
import type { Capabilities, StorageBackend } from '../backend.ts';
import type { NfsSettings } from './config.ts';
import { Connector } from './connector.ts';
import { nfsError } from './failure.ts';
import type { RpcCredential } from './rpc/message.ts';
import { shareContents } from './tree/contents/content-area.ts';
import { entryOf } from './tree/entry.ts';
import { countFolder, listFolder } from './tree/listing.ts';
import { makeFolder } from './tree/making-folders.ts';
import { moveEntry } from './tree/moving.ts';
import { probeShare } from './tree/probing.ts';
import { openShareFile, statNode } from './tree/reading.ts';
import { removeEntry } from './tree/removing.ts';
import { Share } from './tree/share.ts';
import { sweepStaging } from './tree/sweeping.ts';
import { copyFile, writeFile } from './tree/writing.ts';

/** What a share can do by our own client. It has no descriptor to read from, and streams read ahead on their own. */
const directCapabilities: Capabilities = {
  writable: true,
  move: true,
  copy: true,
  folders: true,
  usage: true,
  positionalRead: false,
};

/** The operations of a share, whichever client is behind them. `freshness` would wait for the network. */
export type NfsBackend = Required<Omit<StorageBackend, 'freshness'>>;

/** Who this process is to a server: the user and groups that it runs as. */
function ownCredential(): RpcCredential {
  return {
    machine: hostname(),
    uid: process.getuid?.() ?? 0,
    gid: process.getgid?.() ?? 0,
    groups: process.getgroups?.() ?? [],
  };
}

/** An export to be connected to by our own client. */
export function connectorOf(
  settings: NfsSettings,
  options: { ownerId: string; timeLimitMs: number },
): Connector {
  const { server, exportPath, port, localPort, version, mountPort } = settings;
  const { ownerId, timeLimitMs } = options;
  const credential = ownCredential();
  return new Connector({
    server,
    exportPath,
    port,
    localPort,
    version,
    mountPort,
    credential,
    ownerId,
    timeLimitMs,
  });
}

/** A share by our own client over TCP, which needs neither root nor the kernel. It connects when it is first used. */
export function createDirectBackend(
  settings: NfsSettings,
  options: { volumeId: string; ownerId: string; timeLimitMs: number },
): NfsBackend {
  const share = new Share(connectorOf(settings, options), options);
  const contents = shareContents(share);
  return {
    type: 'nfs',
    capabilities: directCapabilities,
    probe: (probe) => probeShare(share, probe?.signal),
    stat: (path, stat) =>
      unlessCancelled(stat?.signal, `Looking at ${path}`, async () =>
        entryOf(path, (await statNode(share, path)).attributes),
      ),
    list: (path, list) =>
      unlessCancelled(list?.signal, `Listing ${path}`, () => listFolder(share, path, list ?? {})),
    open: (path, open) =>
      unlessCancelled(
        open?.signal,
        `Opening ${path}`,
        () => openShareFile(share, path),
        (late) => late[Symbol.asyncDispose](),
      ),
    write: (path, source, write) => writeFile(share, path, source, write ?? {}),
    remove: (path, remove) => removeEntry(share, path, remove ?? {}),
    move: (from, to, move) => moveEntry(share, from, to, move ?? {}),
    copy: (from, to, copy) => copyFile(share, from, to, copy ?? {}),
    makeFolder: (path) => makeFolder(share, path),
    usage: async (usage) => {
      throwIfCancelled(usage?.signal, 'Asking for the usage');
      const { fs, root } = await share.enter();
      return fs.usage(root).catch((error: unknown) => {
        throw nfsError(error, `Asking for the usage of ${share.label}`, 'read');
      });
    },
    countChildren: (path) => countFolder(share, path),
    contents,
    sweep: () => sweepStaging(share),
    [Symbol.asyncDispose]: async () => {
      await contents[Symbol.asyncDispose]();
      await share.connector[Symbol.asyncDispose]();
    },
  };
}
