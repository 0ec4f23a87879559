import { errnoOf, fileSystemError } from '@holdfast/bytes/file-system-error';
import { HoldfastError } from '@holdfast/contract/errors';
import { lstat, open, readdir, unlink } from 'node:fs/promises';
import { mapBounded } from '../../concurrency/bounded.ts';
import type { StagedUploadKey, UploadStaging } from '../../contents.ts';
import { fileAdvice } from '../../contents/advice.ts';
import { isUploadId, requireUploadId } from '../../contents/content-names.ts';
import { allocate, requireSpace } from './allocating.ts';
import { LocalUpload } from './staged-upload.ts';
import type { StagedFiles } from './staged-files.ts';

const parallelLooks = 16;

/** Uploads as files in a folder of the reserved area; their ids are their names, and that is all there is to know. */
export function localStaging(files: StagedFiles): UploadStaging {
  return {
    advice: fileAdvice,
    create: async (upload) => {
      await makeStagedFile(files, upload);
      return {};
    },
    resume: async (upload) => {
      requireUploadId(upload.id);
      await files.size(upload.id);
      return new LocalUpload(files, upload);
    },
    list: () => listStaged(files),
  };
}

async function makeStagedFile(
  files: StagedFiles,
  { id, size }: Omit<StagedUploadKey, 'state'>,
): Promise<void> {
  requireUploadId(id);
  const label = `the upload ${id}`;
  await using folder = await files.enter();
  try {
    if (size !== null) await requireSpace(folder.path, size, label);
    const handle = await open(folder.child(id), 'wx+');
    try {
      if (size !== null && size > 0) await allocate(handle, size, label);
    } catch (error) {
      await unlink(folder.child(id)).catch(() => undefined);
      throw error;
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') {
      throw new HoldfastError('already_exists', `There is an upload ${id} already.`, { cause: error });
    }
    throw fileSystemError(error, `Making room for ${label}`);
  }
}

async function listStaged(files: StagedFiles): ReturnType<UploadStaging['list']> {
  await using folder = await files.enter();
  try {
    const ids = (await readdir(folder.path)).filter(isUploadId);
    const found = await mapBounded(ids, parallelLooks, async (id) => {
      const stats = await lstat(folder.child(id)).catch((error: unknown) => {
        if (errnoOf(error) === 'ENOENT') return undefined;
        throw error;
      });
      return stats?.isFile() === true ? { id, state: {}, touchedAt: stats.mtime } : undefined;
    });
    return found.filter((upload) => upload !== undefined);
  } catch (error) {
    throw fileSystemError(error, `Listing the uploads of ${files.volume.root}`, 'read');
  }
}
