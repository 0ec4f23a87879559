import { HoldfastError } from '@holdfast/contract/errors';
import { open } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { errnoOf, fileSystemError } from './file-system-error.ts';

async function writeToFullDevice(): Promise<unknown> {
  const full = await open('/dev/full', 'w');
  try {
    return await full.write('x').catch((problem: unknown) => problem);
  } finally {
    await full.close();
  }
}

describe('errors of the file system', () => {
  it('of a full device is storage_full', async () => {
    // The device is Linux's own; elsewhere an error with the same name has to do.
    const error =
      process.platform === 'linux'
        ? await writeToFullDevice()
        : Object.assign(new Error('ENOSPC: no space'), { code: 'ENOSPC' });
    expect(errnoOf(error)).toBe('ENOSPC');
    const told = fileSystemError(error, 'Writing /a.iso');
    expect(told).toMatchObject({ code: 'storage_full', status: 507, retryable: true, cause: error });
    expect(told.message).toMatch(/^Writing \/a\.iso failed \(ENOSPC\)\. .*Free some space/);
  });

  it.each([
    ['ENOSPC', 'storage_full'],
    ['EDQUOT', 'storage_full'],
    ['EROFS', 'read_only'],
    ['EACCES', 'read_only'],
    ['EPERM', 'read_only'],
    ['EIO', 'backend_unavailable'],
    ['ESTALE', 'backend_unavailable'],
    ['EMFILE', 'backend_unavailable'],
    ['ENAMETOOLONG', 'invalid_path'],
    ['ENOTDIR', 'not_a_directory'],
    ['EBUSY', 'conflict'],
    ['EWHATEVER', 'internal'],
  ])('%s is %s, in a sentence', (errno, code) => {
    const told = fileSystemError(
      Object.assign(new Error(`${errno}: it happens`), { code: errno }),
      'Writing /a',
    );
    expect(told.code).toBe(code);
    expect(told.message).toContain('Writing /a failed');
    expect(told.message).toContain(errno);
  });

  it('keeps an error of ours, and does not call a forbidden read read-only', async () => {
    const ours = new HoldfastError('conflict', 'Already ours.');
    expect(fileSystemError(ours, 'Writing /a')).toBe(ours);
    const forbidden = Object.assign(new Error('no'), { code: 'EACCES' });
    expect(fileSystemError(forbidden, 'Reading /a', 'read')).toMatchObject({
      code: 'backend_unavailable',
      retryable: false,
    });
    expect(errnoOf('ENOENT')).toBeUndefined();
    expect(errnoOf(new Error('plain'))).toBeUndefined();
  });
});
