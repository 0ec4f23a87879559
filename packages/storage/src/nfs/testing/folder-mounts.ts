import { makeTempDir } from '@holdfast/test-support/temp-dir';
import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { prepareLocalRoot } from '../../local.ts';

/**
 * Stands in for mount(8): the share is a folder, which is bound to the mount point where it is asked for one of NFS. It
 * is found by the PATH of this process, and by the processes that it starts.
 */
export class FolderMounts implements AsyncDisposable {
  readonly share: string;
  readonly mountRoot: string;
  /** Of the marker on the share. */
  readonly volumeId: string;
  readonly #work: string;
  readonly #dispose: () => Promise<void>;

  private constructor(work: string, volumeId: string, dispose: () => Promise<void>) {
    this.#work = work;
    this.volumeId = volumeId;
    this.#dispose = dispose;
    this.share = path.join(work, 'share');
    this.mountRoot = path.join(work, 'mounts');
  }

  static async make(): Promise<FolderMounts> {
    await using resources = new AsyncDisposableStack();
    const work = resources.use(await makeTempDir('nfs kernel'));
    const [share, programs] = [work.join('share'), work.join('programs')];
    for (const folder of [share, programs]) await mkdir(folder);
    const { volumeId } = await prepareLocalRoot({ root: share });
    const lines = [
      '#!/bin/sh',
      `work='${work.path}'`,
      'echo "${0##*/} $*" >> "$work/calls"',
      'if [ -e "$work/hangs" ]; then exec sleep infinity; fi',
      'if [ -e "$work/failure" ]; then cat "$work/failure" >&2; exit 32; fi',
      'for last; do :; done',
    ];
    const mount = [...lines, 'exec /bin/mount --bind "$work/share" "$last"', ''];
    const unmount = [...lines, 'exec /bin/umount "$@"', ''];
    for (const [name, script] of [
      ['mount', mount],
      ['umount', unmount],
    ] as const) {
      await writeFile(path.join(programs, name), script.join('\n'));
      await chmod(path.join(programs, name), 0o755);
    }
    const before = process.env['PATH'];
    process.env['PATH'] = `${programs}:${before ?? ''}`;
    resources.defer(() => {
      process.env['PATH'] = before;
    });
    const owned = resources.move();
    return new FolderMounts(work.path, volumeId, () => owned.disposeAsync());
  }

  /** The calls of both programs so far. */
  async calls(): Promise<string[]> {
    const text = await readFile(path.join(this.#work, 'calls'), 'utf8').catch(() => '');
    return text.split('\n').filter((line) => line !== '');
  }

  /** What they say from now on before they fail; undefined: they work again. */
  async failWith(words: string | undefined): Promise<void> {
    const place = path.join(this.#work, 'failure');
    if (words === undefined) await rm(place, { force: true });
    else await writeFile(place, `${words}\n`);
  }

  /** From now on they never end by themselves. */
  async hang(): Promise<void> {
    await writeFile(path.join(this.#work, 'hangs'), '');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#dispose();
  }
}
