import { SpoolFile } from './spool-file.ts';

/** A file of the spool that is open at least until this is disposed. */
export interface FileUse extends AsyncDisposable {
  readonly file: SpoolFile;
}

/** A file of the spool that is open while anybody uses it: so uploads that rest hold no descriptors. */
export class SharedFile {
  readonly path: string;
  #file: Promise<SpoolFile> | undefined;
  #users = 0;

  constructor(path: string) {
    this.path = path;
  }

  /** Opens the file, or makes it. To be disposed once. */
  async use(): Promise<FileUse> {
    this.#users += 1;
    try {
      this.#file ??= SpoolFile.open(this.path);
      return { file: await this.#file, [Symbol.asyncDispose]: () => this.#leave() };
    } catch (error) {
      this.#file = undefined;
      this.#users -= 1;
      throw error;
    }
  }

  async #leave(): Promise<void> {
    this.#users -= 1;
    if (this.#users > 0) return;
    const file = this.#file;
    this.#file = undefined;
    await (await file)?.[Symbol.asyncDispose]();
  }
}
