import { HoldfastError } from '@holdfast/contract/errors';
import type { StagedUploadKey, UploadStaging } from '../../../contents.ts';
import { fileAdvice } from '../../../contents/advice.ts';
import { isUploadId, requireUploadId } from '../../../contents/content-names.ts';
import { isFailure, nfsError } from '../../failure.ts';
import type { NfsFile } from '../../file-system.ts';
import { nfsStatus } from '../../status.ts';
import { readWholeFolder } from '../listing.ts';
import type { StagedFiles } from './staged-files.ts';
import { ShareUpload } from './staged-upload.ts';

/** Uploads as files in a folder of the reserved area; their ids are their names, and that is all there is to know. */
export function shareStaging(files: StagedFiles): UploadStaging {
  return {
    advice: fileAdvice,
    create: async (upload) => {
      await makeStagedFile(files, upload);
      return {};
    },
    resume: async (upload) => {
      requireUploadId(upload.id);
      await files.look(upload.id);
      return new ShareUpload(files, upload);
    },
    list: async () => {
      const { fs, folder } = await files.enter();
      const entries = await readWholeFolder(fs, folder).catch((error: unknown) => {
        throw nfsError(error, `Listing the uploads of ${files.share.label}`, 'read');
      });
      return entries
        .filter(({ name, attributes }) => isUploadId(name.toString()) && attributes.type === 'file')
        .map(({ name, attributes }) => ({
          id: name.toString(),
          state: {},
          touchedAt: new Date(Number(attributes.mtimeNs / 1_000_000n)),
        }));
    },
  };
}

async function makeStagedFile(
  files: StagedFiles,
  { id, size }: Omit<StagedUploadKey, 'state'>,
): Promise<void> {
  requireUploadId(id);
  const uploads = await files.enter();
  const { fs, folder } = uploads;
  const doing = `Making room for the upload ${id}`;
  let file: NfsFile | undefined;
  try {
    if (size !== null) await requireSpace(files, size, id);
    file = await fs.create(folder, id);
    if (size !== null) await file.resize(size);
    // Asked by its name, as that may have been changed on its way.
    if ((await files.find(uploads, id)) !== null) return;
    const text = `${doing} went wrong on its way to the server. Check the network, then try again.`;
    throw new HoldfastError('backend_unavailable', text);
  } catch (error) {
    if (file !== undefined) await fs.remove(folder, id, 'file').catch(() => undefined);
    if (isFailure(error, nfsStatus.EXIST)) {
      throw new HoldfastError('already_exists', `There is an upload ${id} already.`, { cause: error });
    }
    throw nfsError(error, doing);
  } finally {
    await file?.[Symbol.asyncDispose]();
  }
}

/** @throws HoldfastError `storage_full` when the server cannot have room for so many bytes */
async function requireSpace(files: StagedFiles, size: number, id: string): Promise<void> {
  const { fs, root } = await files.share.enter();
  const { usedBytes, totalBytes } = await fs.usage(root);
  if (size <= totalBytes - usedBytes) return;
  const text = `There is no room for the ${size} bytes of the upload ${id} on ${files.share.label}.`;
  throw new HoldfastError('storage_full', `${text} Free some space, then try again.`);
}
