import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises';
import { makeTempDir } from '@holdfast/test-support/temp-dir';
import { afterEach, describe, expect, test, vi } from 'vitest';

const path = process.env['PATH'];

/** As in a process of its own: without a helper that was started before. */
async function freshSync(): Promise<(folder: string) => Promise<boolean>> {
  vi.resetModules();
  return (await import('./file-system-barrier.ts')).syncFileSystem;
}

afterEach(() => {
  process.env['PATH'] = path;
});

describe('a sync of a file system', () => {
  test('is told to be durable, to each of many who ask at once and one after the other', async () => {
    await using dir = await makeTempDir('barrier');
    const sync = await freshSync();
    await writeFile(dir.join('file'), 'bytes');
    expect(await Promise.all(Array.from({ length: 7 }, () => sync(dir.path)))).toEqual(Array(7).fill(true));
    expect(await sync(dir.path)).toBe(true);
  });

  test('takes folders by the descriptors of this process', async () => {
    await using dir = await makeTempDir('barrier');
    const { open } = await import('node:fs/promises');
    await using folder = await open(dir.path, 'r');
    const sync = await freshSync();
    expect(await sync(`/proc/self/fd/${folder.fd}`)).toBe(true);
  });

  test('is not told of a folder that is not there, and neither where nothing can be run', async () => {
    await using dir = await makeTempDir('barrier');
    const sync = await freshSync();
    expect(await sync(dir.join('missing'))).toBe(false);
    process.env['PATH'] = dir.path;
    expect(await sync(dir.path)).toBe(false);
    process.env['PATH'] = path;
    expect(await sync(dir.path)).toBe(true);
  });

  test('that has failed stands for those who wait by then, and for nobody after', async () => {
    await using dir = await makeTempDir('barrier');
    const programs = dir.join('programs');
    await mkdir(programs);
    await symlink('/bin/sh', `${programs}/sh`);
    // Takes its time, fails the first time, and says so by a file.
    const failed = dir.join('failed');
    const program = `#!/bin/sh\n/bin/sleep 0.2\n[ -e '${failed}' ] || { : > '${failed}'; exit 1; }\n`;
    await writeFile(`${programs}/sync`, program);
    await chmod(`${programs}/sync`, 0o755);
    process.env['PATH'] = programs;
    const sync = await freshSync();
    const [first, second] = [sync(dir.path), sync(dir.path)];
    expect(await Promise.all([first, second])).toEqual([false, false]);
    expect(await sync(dir.path)).toBe(true);
  });
});
