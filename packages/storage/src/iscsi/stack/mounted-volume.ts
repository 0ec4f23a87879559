import { HoldfastError } from '@holdfast/contract/errors';
import { mkdir, readFile, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { attachKernel } from '../kernel/kernel-source.ts';
import type { BlockSource } from './block-source.ts';
import { attachDirect } from './direct-source.ts';
import { checkDevice, formatDevice, isJournalClean, mountDevice, planFileSystem } from './file-system.ts';
import { runTool } from './tool.ts';
import type { VolumeStart } from './volume-start.ts';

/** The file system of a LUN, mounted in the namespace of this process. */
export interface MountedVolume {
  /** Where the files are, for this process only. */
  readonly root: string;
  readonly warning: string | undefined;
  /** Settles when the LUN is given up: every access fails from then on. Never rejects. */
  readonly lost: Promise<HoldfastError>;
  /** Whether the file system has stopped taking writes by itself, after an error of the disk. */
  hasFailed(): Promise<boolean>;
  /**
   * Unmounts, checks that the journal is clean, releases the reservation and lets the LUN go. Nobody may have a file
   * open any more.
   * @throws HoldfastError what went wrong; as much as possible is cleaned up all the same
   */
  unmount(): Promise<void>;
}

/**
 * Brings the file system of a LUN up below a folder: the LUN is reserved, its journal replayed, then it is mounted.
 * What was begun is undone when a step fails.
 */
export async function mountVolume(folder: string, start: VolumeStart): Promise<MountedVolume> {
  const { filesystem, format, connection } = start;
  const root = join(folder, 'mnt');
  await mkdir(root, { recursive: true });
  const source =
    start.mode === 'direct' ? await attachDirect(folder, connection) : await attachKernel(folder, connection);
  try {
    const { device, signatures, isWriteProtected } = source;
    const plan = planFileSystem(signatures, filesystem, { format, isWriteProtected });
    if (plan === 'format') await formatDevice(source.formatPath, filesystem);
    else if (!isWriteProtected) await checkDevice(device, filesystem);
    await mountDevice(device, root, filesystem, { readOnly: isWriteProtected });
    // An empty backend lists nothing; e2fsck makes this folder again should it ever need one.
    if (plan === 'format' && filesystem === 'ext4') await rmdir(join(root, 'lost+found'));
  } catch (error) {
    const reason = await firstReason(source, error);
    // Nothing may be mounted yet.
    await runTool('umount', [root]).catch(() => undefined);
    await source.detach(async () => {});
    throw reason;
  }
  await source.release();
  return {
    root,
    warning: source.warning,
    lost: source.lost,
    hasFailed: async () => !source.isWriteProtected && (await isReadOnly(root)),
    unmount: async () => {
      await using failures = new AsyncDisposableStack();
      failures.defer(() => source.detach((path) => requireClean(path, source, filesystem)));
      await runTool('umount', [root]);
    },
  };
}

/** The words of ext4 and XFS for a file system that has stopped, among the options of a mount (proc(5)). */
const stoppedOptions = new Set(['ro', 'emergency_ro', 'shutdown']);

async function isReadOnly(mountPoint: string): Promise<boolean> {
  for (const line of (await readFile('/proc/self/mounts', 'utf8')).split('\n')) {
    const [, place, , options = ''] = line.split(' ');
    if (place === mountPoint) return options.split(',').some((option) => stoppedOptions.has(option));
  }
  return false;
}

async function requireClean(
  path: string,
  source: BlockSource,
  filesystem: VolumeStart['filesystem'],
): Promise<void> {
  if (source.isWriteProtected || (await isJournalClean(path, filesystem))) return;
  throw new HoldfastError(
    'internal',
    'The file system of the LUN was unmounted, but its journal is not empty: something else still has it mounted. ' +
      'It is replayed at the next start.',
  );
}

/** A LUN that is given up in the middle of a step is the reason why the step failed. */
async function firstReason(source: BlockSource, error: unknown): Promise<unknown> {
  return Promise.race([source.lost, Promise.resolve(error)]);
}
