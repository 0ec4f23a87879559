import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { renameIfFree } from './rename-if-free.ts';

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-durable-'));
  path = join(folder, 'file');
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe('renameIfFree', () => {
  it('moves to a free name and leaves a taken one alone', async () => {
    await writeFile(path, 'a');
    await writeFile(join(folder, 'taken'), 'b');
    await expect(renameIfFree(path, join(folder, 'taken'))).rejects.toMatchObject({ code: 'EEXIST' });
    await renameIfFree(path, join(folder, 'free'));
    expect((await readdir(folder)).toSorted()).toEqual(['free', 'taken']);
    expect(await readFile(join(folder, 'taken'), 'utf8')).toBe('b');
  });

  it('does so for a folder too, which cannot be linked', async () => {
    await mkdir(path);
    await mkdir(join(folder, 'taken'));
    await expect(renameIfFree(path, join(folder, 'taken'))).rejects.toMatchObject({ code: 'EEXIST' });
    await renameIfFree(path, join(folder, 'free'));
    expect((await readdir(folder)).toSorted()).toEqual(['free', 'taken']);
  });
});
