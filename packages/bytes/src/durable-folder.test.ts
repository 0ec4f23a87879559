import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeFolderDurably, syncFolder } from './durable-folder.ts';

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-durable-'));
  path = join(folder, 'file');
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe('makeFolderDurably', () => {
  it('makes missing parents and tells whether the folder is new', async () => {
    expect(await makeFolderDurably(join(folder, 'a/b/c'), 0o700)).toBe(true);
    expect((await stat(join(folder, 'a/b'))).mode & 0o777).toBe(0o700);
    expect(await makeFolderDurably(join(folder, 'a/b/c'))).toBe(false);
    await syncFolder(join(folder, 'a'));
  });

  it('refuses where a file stands', async () => {
    await writeFile(path, '');
    await expect(makeFolderDurably(path)).rejects.toMatchObject({ code: 'already_exists' });
    await expect(makeFolderDurably(join(path, 'below'))).rejects.toMatchObject({ code: 'not_a_directory' });
  });

  it('survives two who make the same tree at once', async () => {
    const made = await Promise.all([1, 2, 3, 4].map(() => makeFolderDurably(join(folder, 'x/y/z'))));
    expect(made.filter((isNew) => isNew)).toHaveLength(1);
  });
});
