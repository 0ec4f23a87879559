import { RESERVED_FOLDER } from '@holdfast/bytes/backend-path';
import { writeFileDurably } from '@holdfast/bytes/durable-file';
import { makeFolderDurably } from '@holdfast/bytes/durable-folder';
import { errnoOf } from '@holdfast/bytes/file-system-error';
import { HoldfastError, isHoldfastError } from '@holdfast/contract/errors';
import { randomUUID } from 'node:crypto';
import { readFile, realpath, stat } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { MARKER_PATH, parseMarker, renderMarker } from '../volume/marker.ts';
import { STAGING_FOLDER } from '../volume/staging-slot.ts';

function refuse(message: string, cause?: unknown): never {
  throw new HoldfastError('validation_failed', `The folder cannot be used as a backend: ${message}.`, {
    errors: [{ field: 'config.root', message }],
    cause,
  });
}

async function requireFolder(root: string): Promise<void> {
  try {
    if (!(await stat(root)).isDirectory()) refuse(`${root} is not a folder`);
    // A jail around the whole system would be none.
    if ((await realpath(root)) === '/')
      refuse('it is the root of the whole file system; choose a folder below it');
  } catch (error) {
    if (error instanceof HoldfastError) throw error;
    const errno = errnoOf(error);
    if (errno === 'ENOENT') refuse(`${root} does not exist; make it, or mount the disk that has it`, error);
    if (errno === 'ENOTDIR') refuse(`a part of ${root} is a file`, error);
    refuse(`${root} cannot be looked at (${errno ?? String(error)})`, error);
  }
}

async function readMarker(root: string): Promise<string | undefined> {
  try {
    return parseMarker(await readFile(join(root, MARKER_PATH), 'utf8'), join(root, MARKER_PATH)).volumeId;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    if (error instanceof HoldfastError) refuse(error.message.replace(/\.$/, ''), error);
    return refuse(
      `the marker ${join(root, MARKER_PATH)} cannot be read (${errnoOf(error) ?? String(error)})`,
      error,
    );
  }
}

async function writeMarker(root: string): Promise<string> {
  const volumeId = randomUUID();
  const text = renderMarker({ volumeId, createdAt: new Date().toISOString() });
  try {
    await writeFileDurably(join(root, MARKER_PATH), Buffer.from(text), { mode: 0o644, ifAbsent: true });
    return volumeId;
  } catch (error) {
    // Somebody else set the same root up in this moment: theirs counts.
    if (!isHoldfastError(error, 'precondition_failed')) throw error;
    return (
      (await readMarker(root)) ??
      refuse('its marker file comes and goes; is another program at work there', error)
    );
  }
}

/**
 * Checks that a folder can be a local backend and marks it: adopts the marker that is there, or writes a new one
 * durably. The reserved area with its staging folder is made.
 *
 * @param options.root absolute path of an existing folder; with `create`, of one that is made (0700) when missing
 * @returns the id of the volume, to be kept with the backend
 * @throws HoldfastError `validation_failed` with the field `config.root`; `storage_full`
 */
export async function prepareLocalRoot(options: {
  root: string;
  create?: boolean;
}): Promise<{ volumeId: string }> {
  const { root } = options;
  if (root.includes('\0') || !isAbsolute(root)) refuse('it must be an absolute path, like /srv/files');
  try {
    if (options.create === true) await makeFolderDurably(root, 0o700);
    await requireFolder(root);
    await makeFolderDurably(join(root, RESERVED_FOLDER), 0o700);
    await makeFolderDurably(join(root, RESERVED_FOLDER, STAGING_FOLDER), 0o700);
    return { volumeId: (await readMarker(root)) ?? (await writeMarker(root)) };
  } catch (error) {
    if (isHoldfastError(error, 'validation_failed') || isHoldfastError(error, 'storage_full')) throw error;
    return refuse(error instanceof Error ? error.message.replace(/\.$/, '') : String(error), error);
  }
}
