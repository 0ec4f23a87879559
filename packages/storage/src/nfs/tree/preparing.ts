import { RESERVED_FOLDER } from '@holdfast/bytes/backend-path';
import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import { HoldfastError, isHoldfastError } from '@holdfast/contract/errors';
import { randomUUID } from 'node:crypto';
import { MARKER_PATH, parseMarker, renderMarker } from '../../volume/marker.ts';
import { STAGING_FOLDER } from '../../volume/staging-slot.ts';
import { refuseConfig } from '../config.ts';
import type { Connector } from '../connector.ts';
import { ignoreStatus, isFailure, nfsError } from '../failure.ts';
import type { NfsFileSystem } from '../file-system.ts';
import { ConnectFailed } from '../rpc/connection.ts';
import { RpcRefused } from '../rpc/link.ts';
import { nfsStatus } from '../status.ts';
import { giveName } from './naming.ts';
import { exportAdvice } from './share.ts';
import { readSmallFile } from './small-file.ts';

const MARKER_NAME = MARKER_PATH.slice(RESERVED_FOLDER.length + 1);
const MAX_MARKER_BYTES = 64 * 1024;

/** Codes of a failed connection that a change of the configuration mends. */
const mendable: Record<string, 'server' | 'local_port'> = {
  ENOTFOUND: 'server',
  EACCES: 'local_port',
  EADDRINUSE: 'local_port',
  EADDRNOTAVAIL: 'local_port',
};

/**
 * Checks that an export can be a backend and marks it: adopts the marker that is there, or writes a new one.
 * @throws HoldfastError `validation_failed` with the field of the configuration; `backend_unavailable`, `storage_full`
 */
export async function prepareShare(
  connector: Connector,
  signal?: AbortSignal,
): Promise<{ volumeId: string }> {
  const { fs, root } = await openExport(connector);
  throwIfCancelled(signal, 'Preparing the share');
  try {
    const reserved = await ensureFolder(fs, root, RESERVED_FOLDER);
    await ensureFolder(fs, reserved, STAGING_FOLDER);
    throwIfCancelled(signal, 'Preparing the share');
    return { volumeId: (await readMarker(fs, reserved)) ?? (await writeMarker(fs, reserved)) };
  } catch (error) {
    if (isFailure(error, nfsStatus.PERM, nfsStatus.ACCESS, nfsStatus.ROFS)) {
      const { message } = nfsError(error, `writing to ${connector.options.exportPath}`);
      refuseConfig('export_path', message.replace(/\.$/, ''), error);
    }
    throw nfsError(error, 'Preparing the share');
  }
}

async function openExport(connector: Connector): Promise<{ fs: NfsFileSystem; root: Buffer }> {
  try {
    const fs = await connector.fileSystem();
    return { fs, root: await fs.root() };
  } catch (error) {
    if (
      isFailure(error, nfsStatus.NOENT, nfsStatus.NOTDIR, nfsStatus.ACCESS, nfsStatus.PERM, nfsStatus.INVAL)
    ) {
      refuseConfig('export_path', exportAdvice(error.status), error);
    }
    if (error instanceof RpcRefused) {
      const { message } = nfsError(error, `talking to port ${connector.options.port}`);
      refuseConfig(error.reply.kind === 'denied' ? 'export_path' : 'port', message.replace(/\.$/, ''), error);
    }
    if (isHoldfastError(error, 'backend_unavailable') && error.cause instanceof ConnectFailed) {
      const field = mendable[error.cause.code];
      if (field !== undefined) refuseConfig(field, error.message.replace(/\.$/, ''), error);
    }
    throw nfsError(error, 'Connecting to the server', 'read');
  }
}

async function ensureFolder(fs: NfsFileSystem, parent: Buffer, name: string): Promise<Buffer> {
  const [existing] = await fs.walk(parent, [name]);
  if (existing?.attributes.type === 'directory') return existing.handle;
  if (existing !== undefined) {
    refuseConfig('export_path', `${name} in the share is no folder, and Holdfast needs it for its own files`);
  }
  try {
    return (await fs.makeFolder(parent, name)).handle;
  } catch (error) {
    if (!isFailure(error, nfsStatus.EXIST)) throw error;
    return ensureFolder(fs, parent, name);
  }
}

async function readMarker(fs: NfsFileSystem, reserved: Buffer): Promise<string | undefined> {
  const [marker] = await fs.walk(reserved, [MARKER_NAME]);
  if (marker === undefined) return undefined;
  const read = async (): Promise<string> =>
    parseMarker(
      (await readSmallFile(fs, marker.handle, MAX_MARKER_BYTES)).toString(),
      `the share's ${MARKER_PATH}`,
    ).volumeId;
  try {
    // Twice the same: a byte that was changed on its way must not become the id of a volume.
    const [once, again] = [await read(), await read()];
    return once === again ? once : await read();
  } catch (error) {
    if (!isHoldfastError(error, 'backend_unavailable') || error.retryable) throw error;
    return refuseConfig('export_path', error.message.replace(/\.$/, ''), error);
  }
}

async function writeMarker(fs: NfsFileSystem, reserved: Buffer): Promise<string> {
  const volumeId = randomUUID();
  const text = Buffer.from(renderMarker({ volumeId, createdAt: new Date().toISOString() }));
  const name = `volume.${volumeId}.tmp`;
  try {
    await using file = await fs.create(reserved, name);
    await file.write(0, text);
    await file.commit();
    const stored = await readSmallFile(fs, file.handle, MAX_MARKER_BYTES);
    if (!stored.equals(text)) {
      const why =
        'The marker of the volume was changed on its way to the server. Check the network, then try again.';
      throw new HoldfastError('backend_unavailable', why);
    }
    const named = { folder: reserved, name, handle: file.handle, attributes: await file.attributes() };
    await giveName(
      fs,
      named,
      { folder: reserved, name: MARKER_NAME, onlyIfFree: true },
      'the marker of the volume',
    );
    return volumeId;
  } catch (error) {
    // Somebody else set the same share up in this moment: theirs counts.
    const theirs = isFailure(error, nfsStatus.EXIST) ? await readMarker(fs, reserved) : undefined;
    if (theirs === undefined) throw error;
    return theirs;
  } finally {
    await fs
      .remove(reserved, name, 'file')
      .catch(ignoreStatus(nfsStatus.NOENT))
      .catch(() => undefined);
  }
}
