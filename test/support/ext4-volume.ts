import { mkdir, open } from 'node:fs/promises';
import { runProcess, startProcess } from './process.ts';
import { makeTempDir } from './temp-dir.ts';

/** Bytes of one block of the file system. */
const blockSize = 4096;

/**
 * An ext4 file system in an image file, mounted where only commands with the `prefix` see it. Its bytes can rot
 * underneath, as on a failing disk: no time, size or inode of the file changes by it.
 */
export interface Ext4Volume extends AsyncDisposable {
  /** The mount point. */
  readonly root: string;
  /** A program and its arguments that run a command with the volume mounted, in its own pid. */
  readonly prefix: readonly [string, ...string[]];
  /**
   * Flips one bit in the first block of a file (path inside the volume), while the volume is unmounted. Nothing may
   * have a file of it open.
   */
  rot(path: string): Promise<void>;
}

/** Makes and mounts a volume of `bytes`. Needs root and loop devices; throws with what is missing. */
export async function mountExt4(bytes: number): Promise<Ext4Volume> {
  if (process.getuid?.() !== 0)
    throw new Error('Mounting an image needs root, and loop devices: run this test as root.');
  await using resources = new AsyncDisposableStack();
  const work = resources.use(await makeTempDir('ext4'));
  const [image, root] = [work.join('image'), work.join('root')];
  await mkdir(root);
  {
    await using file = await open(image, 'w');
    await file.truncate(bytes);
  }
  await runProcess('mkfs.ext4', ['-q', '-F', '-b', String(blockSize), image]);
  // A mount namespace of its own goes away with its last process, and the mount and loop device with it.
  const holder = resources.use(
    await startProcess('unshare', [
      ...['--mount', '--propagation', 'private'],
      ...['sh', '-c', 'echo inside; exec sleep infinity'],
    ]),
  );
  await holder.waitForOutput(/^inside$/m, { timeoutMs: 10_000 });
  const prefix: [string, ...string[]] = ['nsenter', `--mount=/proc/${holder.pid}/ns/mnt`, '--'];
  const run = async (command: string, ...args: string[]): Promise<void> => {
    await runProcess(prefix[0], [...prefix.slice(1), command, ...args]);
  };
  const mount = (): Promise<void> => run('mount', '-o', 'loop', image, root);
  await mount();
  const owned = resources.move();
  return {
    root,
    prefix,
    async rot(path) {
      await run('umount', root);
      const { stdout } = await runProcess('debugfs', ['-R', `bmap ${path} 0`, image]);
      const block = Number(stdout.trim());
      if (!Number.isSafeInteger(block) || block <= 0)
        throw new Error(`${path} has no first block: ${stdout}`);
      {
        await using file = await open(image, 'r+');
        const byte = Buffer.alloc(1);
        await file.read(byte, 0, 1, block * blockSize);
        byte.writeUInt8(byte.readUInt8(0) ^ 1);
        await file.write(byte, 0, 1, block * blockSize);
        await file.sync();
      }
      await mount();
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
