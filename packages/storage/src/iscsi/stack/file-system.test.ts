import { makeTempDir } from '@holdfast/test-support/temp-dir';
import { isHoldfastError } from '@holdfast/contract/errors';
import { open, truncate, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { refusal } from '../../conformance/subject.ts';
import type { Signature } from '../signature.ts';
import { checkDevice, formatDevice, isJournalClean, planFileSystem } from './file-system.ts';
import { runTool, toolMissing } from './tool.ts';

const MIB = 1024 * 1024;
const sound = { format: false, isWriteProtected: false };

function carrying(...types: string[]): Signature[] {
  return types.map((type) => ({ type, offset: 0 }));
}

function refusedField(run: () => unknown): string | undefined {
  try {
    run();
  } catch (error) {
    if (isHoldfastError(error, 'validation_failed')) return error.errors?.[0]?.field;
    throw error;
  }
  return 'nothing';
}

describe('what is done with a LUN', () => {
  it('that carries the file system is to mount it', () => {
    expect(planFileSystem(carrying('ext4'), 'ext4', sound)).toBe('mount');
    expect(planFileSystem(carrying('mbr', 'xfs'), 'xfs', { ...sound, isWriteProtected: true })).toBe('mount');
  });

  it('that is blank is to format it, but only when that is asked for', () => {
    expect(planFileSystem([], 'ext4', { ...sound, format: true })).toBe('format');
    expect(refusedField(() => planFileSystem([], 'ext4', sound))).toBe('config.lun');
    expect(refusedField(() => planFileSystem([], 'ext4', { format: true, isWriteProtected: true }))).toBe(
      'config.lun',
    );
  });

  it.each(['ext4', 'xfs', 'gpt', 'mbr', 'LVM2', 'LUKS', 'mdraid', 'zfs', 'swap', 'ntfs'])(
    'that carries %s is never to format it',
    (type) => {
      expect(refusedField(() => planFileSystem(carrying(type), 'ext4', { ...sound, format: true }))).toBe(
        'config.lun',
      );
    },
  );

  it('that carries something else is to refuse it, by the field filesystem', () => {
    expect(refusedField(() => planFileSystem(carrying('xfs'), 'ext4', sound))).toBe('config.filesystem');
    expect(refusedField(() => planFileSystem(carrying('ext3'), 'ext4', sound))).toBe('config.filesystem');
  });
});

describe('a file system', () => {
  it.each(['ext4', 'xfs'] as const)('of %s is made clean', async (filesystem) => {
    await using folder = await makeTempDir('format');
    const image = folder.join('image');
    await writeFile(image, '');
    await truncate(image, 320 * MIB);
    await formatDevice(image, filesystem);
    await checkDevice(image, filesystem);
    expect(await isJournalClean(image, filesystem)).toBe(true);
  });

  it('that is damaged beyond mending is left to a person', async () => {
    await using folder = await makeTempDir('damaged');
    const image = folder.join('image');
    await writeFile(image, '');
    await truncate(image, 32 * MIB);
    await formatDevice(image, 'ext4');
    await using handle = await open(image, 'r+');
    // The root folder's inode, in every copy that there is.
    await handle.write(Buffer.alloc(2 * MIB, 0x5a), 0, 2 * MIB, 4096);
    const error = await refusal(checkDevice(image, 'ext4'), 'backend_unavailable');
    expect(error.retryable).toBe(false);
    expect(error.message).toContain('e2fsck');
  });
});

describe('a program', () => {
  it('that fails is told with what it said', async () => {
    const error = await refusal(runTool('dumpe2fs', ['-h', '/dev/null']), 'backend_unavailable');
    expect(error.message).toMatch(/`dumpe2fs` failed with status \d+: /);
  });

  it('that is missing is told with its package', () => {
    expect(toolMissing('nbdfuse').message).toContain('install the package libnbd-bin');
    expect(toolMissing('nbdfuse').retryable).toBe(false);
  });
});
