import { randomBytes } from 'node:crypto';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** An open file of random bytes, and the bytes. Disposing closes and removes it. */
export class SampleFile implements AsyncDisposable {
  readonly content: Buffer;
  readonly #folder: string;
  readonly #handle: FileHandle;

  private constructor(content: Buffer, folder: string, handle: FileHandle) {
    this.content = content;
    this.#folder = folder;
    this.#handle = handle;
  }

  static async make(bytes: number): Promise<SampleFile> {
    const content = randomBytes(bytes);
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-sample-'));
    await writeFile(join(folder, 'file'), content);
    return new SampleFile(content, folder, await open(join(folder, 'file')));
  }

  readonly readInto = async (buffer: Uint8Array, position: number): Promise<number> =>
    (await this.#handle.read(buffer, 0, buffer.byteLength, position)).bytesRead;

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
    await rm(this.#folder, { recursive: true });
  }
}
