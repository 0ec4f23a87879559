import type { NfsFile, NfsNode } from '../../file-system.ts';
import { noSuchUpload, UPLOADS_FOLDER } from '../../../contents/content-names.ts';
import { KeptOpen } from '../../../contents/kept-open.ts';
import type { Borrowed } from '../../../contents/kept-open.ts';
import { isFailure, nfsError } from '../../failure.ts';
import { nfsStatus } from '../../status.ts';
import { isSameFile } from '../entry.ts';
import type { EnteredShare, Share } from '../share.ts';

export interface UploadsFolder extends EnteredShare {
  folder: Buffer;
}

/** The staged files of the uploads of a share, open as long as they are being used. */
export class StagedFiles implements AsyncDisposable {
  readonly share: Share;
  readonly #open = new KeptOpen((id) => this.#openFile(id));
  /** Which file was opened. */
  readonly #opened = new WeakMap<NfsFile, NfsNode>();

  constructor(share: Share) {
    this.share = share;
  }

  /** The folder of the staged files, after a look at the marker of the share. */
  async enter(): Promise<UploadsFolder> {
    const entered = await this.share.enter();
    return { ...entered, folder: await this.share.openReserved(entered, UPLOADS_FOLDER) };
  }

  /** @throws HoldfastError `file_not_found`, `backend_unavailable`, `wrong_volume` */
  async look(id: string, uploads?: UploadsFolder): Promise<NfsNode> {
    const node = await this.find(uploads ?? (await this.enter()), id);
    if (node === null) throw noSuchUpload(id);
    return node;
  }

  /** Null when there is none. */
  async find({ fs, folder }: UploadsFolder, id: string): Promise<NfsNode | null> {
    try {
      // What is missing is looked for twice: a name may have been changed on its way.
      const [node] = await fs.walk(folder, [id]);
      const [found] = node === undefined ? await fs.walk(folder, [id]) : [node];
      return found?.attributes.type === 'file' ? found : null;
    } catch (error) {
      throw nfsError(error, `Looking at the staged bytes of the upload ${id}`, 'read');
    }
  }

  /**
   * Borrows the file, after a look whether it is still there and the one that is open: bytes must not be acknowledged
   * that went into a file without a name.
   */
  async borrowChecked(id: string): Promise<Borrowed<NfsFile>> {
    const node = await this.look(id);
    const borrowed = await this.borrow(id);
    const opened = this.#opened.get(borrowed.file);
    if (opened !== undefined && isSameFile(opened.attributes, node.attributes)) return borrowed;
    await this.close(id);
    await borrowed[Symbol.asyncDispose]();
    return this.borrow(id);
  }

  async borrow(id: string): Promise<Borrowed<NfsFile>> {
    return this.#open.borrow(id);
  }

  /** Closes what is open of an upload, as soon as nobody uses it. */
  async close(id: string): Promise<void> {
    await this.#open.drop(id);
  }

  /** Removes a staged file, if there is one. */
  async remove(id: string): Promise<void> {
    await this.close(id);
    const uploads = await this.enter();
    for (let node = await this.find(uploads, id); node !== null; node = await this.find(uploads, id)) {
      try {
        await uploads.fs.remove(uploads.folder, id, 'file');
      } catch (error) {
        if (!isFailure(error, nfsStatus.NOENT)) throw nfsError(error, `Removing the upload ${id}`);
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#open[Symbol.asyncDispose]();
  }

  async #openFile(id: string): Promise<NfsFile> {
    const uploads = await this.enter();
    const node = await this.look(id, uploads);
    try {
      const file = await uploads.fs.openToWrite(node.handle);
      this.#opened.set(file, node);
      return file;
    } catch (error) {
      throw nfsError(error, `Opening the staged bytes of the upload ${id}`);
    }
  }
}
