import { link, lstat, rename, unlink } from 'node:fs/promises';
import { errnoOf } from './file-system-error.ts';

/**
 * Gives a file a new name only when that name is free, in one atomic step (link, then unlink).
 * On a file system without hard links the name is looked at first, which is not atomic against other processes.
 * @throws the system's `EEXIST` when the name is taken
 */
export async function renameIfFree(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === undefined || !['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(errno))
      throw error;
    const taken = await lstat(to).then(
      () => true,
      (problem: unknown) => {
        if (errnoOf(problem) === 'ENOENT') return false;
        throw problem;
      },
    );
    if (taken) throw Object.assign(new Error(`EEXIST: ${to} exists`, { cause: error }), { code: 'EEXIST' });
    await rename(from, to);
    return;
  }
  await unlink(from);
}
