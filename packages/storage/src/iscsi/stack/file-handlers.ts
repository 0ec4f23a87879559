import { HoldfastError } from '@holdfast/contract/errors';
import type { OpenFile } from '../../backend.ts';
import { createLocalBackend, prepareLocalRoot } from '../../local.ts';
import type { LocalBackend, LocalBackendOptions } from '../../local.ts';
import type { Handlers } from '../calls/answerer.ts';
import { MAX_PAYLOAD_BYTES } from '../calls/frames.ts';
import { toWireEntry } from '../calls/methods.ts';
import type { WriteResult } from '../../backend.ts';
import { ContentHandlers } from './content-handlers.ts';

/** The operations on the files below a root, for callers in another process. */
export class FileHandlers {
  readonly #root: () => string;
  readonly #verifyStaged: LocalBackendOptions['verifyStaged'];
  readonly #backends = new Map<string, LocalBackend>();
  readonly #files = new Map<number, OpenFile>();
  readonly #contents = new ContentHandlers((volume) => this.#backend(volume).contents);
  #lastFileId = 0;

  /**
   * @param root gives the root once it is mounted, and throws before
   * @param verifyStaged checks what was written before it is published
   */
  constructor(root: () => string, verifyStaged?: LocalBackendOptions['verifyStaged']) {
    this.#root = root;
    this.#verifyStaged = verifyStaged;
  }

  /** Closes every file that callers have left open, and those of uploads. */
  async closeAll(): Promise<void> {
    const files = [...this.#files.values()];
    this.#files.clear();
    await Promise.all(files.map((file) => file[Symbol.asyncDispose]()));
    await this.#contents.releaseAll();
    await Promise.all([...this.#backends.values()].map((backend) => backend[Symbol.asyncDispose]()));
  }

  readonly handlers: Omit<Handlers, 'start'> = {
    prepare: () => prepareLocalRoot({ root: this.#root() }),
    probe: (params, { signal }) => this.#backend(params).probe({ signal }),
    stat: async (params, { signal }) =>
      toWireEntry(await this.#backend(params).stat(params.path, { signal })),
    list: async (params, { signal }) => {
      const { recursive, limit, cursor } = params;
      const options = {
        ...(recursive === undefined ? {} : { recursive }),
        ...(limit === undefined ? {} : { limit }),
        ...(cursor === undefined ? {} : { cursor }),
        signal,
      };
      const page = await this.#backend(params).list(params.path, options);
      return { ...page, entries: page.entries.map(toWireEntry) };
    },
    open: async (params, { signal }) => this.#keep(await this.#backend(params).open(params.path, { signal })),
    openContent: async (params, { signal }) =>
      this.#keep(await this.#backend(params).contents.open(params.sha256, { signal })),
    read: async ({ fileId, position, length }) => {
      const file = this.#file(fileId);
      const buffer = Buffer.allocUnsafeSlow(Math.min(length, MAX_PAYLOAD_BYTES));
      let filled = 0;
      while (filled < buffer.byteLength) {
        const bytes = (await file.readInto?.(buffer.subarray(filled), position + filled)) ?? 0;
        if (bytes === 0) break;
        filled += bytes;
      }
      return buffer.subarray(0, filled);
    },
    revalidate: async ({ fileId }) => toWireEntry(await this.#file(fileId).revalidate()),
    close: async ({ fileId }) => {
      const file = this.#files.get(fileId);
      this.#files.delete(fileId);
      await file?.[Symbol.asyncDispose]();
    },
    write: async (params, { signal, source, ask }) => {
      const { expectedSha256, expectedSize, ifAbsent, asks } = params;
      return wireResult(
        await this.#backend(params).write(params.path, source, {
          ...(expectedSha256 === undefined ? {} : { expectedSha256 }),
          ...(expectedSize === undefined ? {} : { expectedSize }),
          ...(ifAbsent === undefined ? {} : { ifAbsent }),
          ...(asks ? { precondition: ask } : {}),
          signal,
        }),
      );
    },
    remove: (params, { signal }) =>
      this.#backend(params).remove(params.path, {
        ...(params.recursive === undefined ? {} : { recursive: params.recursive }),
        signal,
      }),
    move: async (params, { signal }) => {
      const { from, to, overwrite } = params;
      const options = { ...(overwrite === undefined ? {} : { overwrite }), signal };
      return toWireEntry(await this.#backend(params).move(from, to, options));
    },
    copy: async (params, { signal }) => {
      const { from, to, overwrite, expectedSha256 } = params;
      return wireResult(
        await this.#backend(params).copy(from, to, {
          ...(overwrite === undefined ? {} : { overwrite }),
          ...(expectedSha256 === undefined ? {} : { expectedSha256 }),
          signal,
        }),
      );
    },
    makeFolder: async (params) => toWireEntry(await this.#backend(params).makeFolder(params.path)),
    usage: (params, { signal }) => this.#backend(params).usage({ signal }),
    countChildren: (params) => this.#backend(params).countChildren(params.path),
    sweep: (params) => this.#backend(params).sweep(),
    ...this.#contents.handlers,
  };

  #keep(file: OpenFile): object {
    this.#lastFileId += 1;
    this.#files.set(this.#lastFileId, file);
    return { fileId: this.#lastFileId, entry: toWireEntry(file.entry) };
  }

  #backend({ volumeId, ownerId }: { volumeId: string; ownerId: string }): LocalBackend {
    const key = JSON.stringify([volumeId, ownerId]);
    const known = this.#backends.get(key);
    if (known !== undefined) return known;
    const made = createLocalBackend({
      root: this.#root(),
      volumeId,
      ownerId,
      verifyStaged: this.#verifyStaged,
    });
    this.#backends.set(key, made);
    return made;
  }

  #file(fileId: number): OpenFile {
    const file = this.#files.get(fileId);
    if (file !== undefined) return file;
    throw new HoldfastError('backend_unavailable', 'The file is not open any more. Open it again.');
  }
}

function wireResult({ entry, ...result }: WriteResult): object {
  return { ...result, entry: toWireEntry(entry) };
}
