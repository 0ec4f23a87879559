import { errnoOf } from '@holdfast/bytes/file-system-error';
import { stat } from 'node:fs/promises';
import { mountArguments, mountSource } from './mount-command.ts';
import { explainMountOutput, mountError } from './mount-problem.ts';
import { runMountProgram } from './mount-programs.ts';
import type { ShareStart } from './share-start.ts';

/** A share that the kernel has mounted on a folder. */
export class KernelMount {
  readonly root: string;
  readonly source: string;
  readonly #timeLimitMs: number;

  private constructor({ settings, mountPoint, timeLimitMs }: ShareStart) {
    this.root = mountPoint;
    this.source = mountSource(settings);
    this.#timeLimitMs = timeLimitMs;
  }

  /** @throws HoldfastError see `mountError` */
  static async make(start: ShareStart): Promise<KernelMount> {
    const mount = new KernelMount(start);
    const { settings, mountPoint, timeLimitMs } = start;
    try {
      await runMountProgram('mount', mountArguments(settings, mountPoint), timeLimitMs);
    } catch (error) {
      throw mountError(explainMountOutput(outputOf(error)), mount.source, error);
    }
    return mount;
  }

  /** Whether the server exports another file system in the place of the one that is mounted. */
  async isStale(): Promise<boolean> {
    const reason = await stat(this.root).then(() => undefined, errnoOf);
    return reason === 'ESTALE';
  }

  /** Unmounts, also while it is in use. @throws Error when that takes too long */
  async unmount(): Promise<void> {
    await runMountProgram('umount', [this.root], this.#timeLimitMs).catch(() => this.abandon());
  }

  /** Ends every call that waits for the server with an error, and unmounts as soon as nobody uses the mount any more. */
  async abandon(): Promise<void> {
    // Without a look at the folder, and without umount.nfs: both would wait for the server.
    const args = ['-f', '-l', '-c', '-i', this.root];
    await runMountProgram('umount', args, this.#timeLimitMs);
  }
}

function outputOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const printed = 'stderr' in error && typeof error.stderr === 'string' ? error.stderr.trim() : '';
  if (printed !== '') return printed;
  return errnoOf(error) === 'ENOENT' ? 'mount.nfs: not found' : error.message;
}
