import { parseBackendPath, ROOT } from '@holdfast/bytes/backend-path';
import { newTempName } from '@holdfast/bytes/temp-name';
import { isHoldfastError } from '@holdfast/contract/errors';
import { execFileSync } from 'node:child_process';
import { existsSync, renameSync, symlinkSync } from 'node:fs';
import { chmod, link, mkdir, readdir, rename, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bytesAt, chunksOf, digestAt, sampleBytes } from '../conformance/sample-bytes.ts';
import { refusal } from '../conformance/subject.ts';
import { makeScratchRoot } from './testing/scratch-root.ts';
import type { ScratchRoot } from './testing/scratch-root.ts';

const bytes = sampleBytes(1000);
const p = parseBackendPath;

let scratch: ScratchRoot;
let outside: string;
beforeEach(async () => {
  scratch = await makeScratchRoot();
  outside = join(scratch.base, 'outside');
  await mkdir(outside);
  await writeFile(join(outside, 'file'), 'secret');
  await scratch.backend.write(p('/folder/file'), chunksOf(bytes));
});
afterEach(async () => {
  await scratch[Symbol.asyncDispose]();
});

describe('a folder that is swapped for a symlink to the outside', () => {
  const swap = async (): Promise<void> => {
    await rename(join(scratch.root, 'folder'), join(scratch.root, 'before'));
    await symlink(outside, join(scratch.root, 'folder'));
  };

  it('while the bytes come in, and just before they are published, stops the write', async () => {
    async function* source(): AsyncGenerator<Uint8Array> {
      yield bytes;
      await swap();
    }
    await refusal(scratch.backend.write(p('/folder/new'), source()), 'invalid_path');
    await rm(join(scratch.root, 'folder'));
    await rename(join(scratch.root, 'before'), join(scratch.root, 'folder'));
    const write = scratch.backend.write(p('/folder/sub/new'), chunksOf(bytes), { precondition: swap });
    await refusal(write, 'invalid_path');
    expect(await readdir(outside)).toEqual(['file']);
    expect(await scratch.staged()).toEqual([]);
  });

  it('again and again while it is worked in never lets anything out or in', async () => {
    const [folder, next] = [join(scratch.root, 'folder'), join(scratch.root, 'next')];
    await rename(folder, join(scratch.root, 'inside'));
    await symlink('inside', folder);
    let isDone = false;
    const swapping = (async () => {
      for (let round = 0; !isDone; round += 1) {
        symlinkSync(round % 2 === 0 ? outside : 'inside', next);
        renameSync(next, folder);
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    const outcomes = new Set<string>();
    try {
      for (let round = 0; round < 60; round += 1) {
        const calls = [
          scratch.backend.write(p(`/folder/new-${round}`), chunksOf(bytes)),
          bytesAt(scratch.backend, p('/folder/file')).then((got) => expect(got.equals(bytes)).toBe(true)),
          scratch.backend.list(p('/folder')).then(({ entries }) => {
            for (const entry of entries) expect([0, bytes.byteLength]).toContain(entry.size);
          }),
          scratch.backend.remove(p(`/folder/new-${round - 1}`), { recursive: true }),
          scratch.backend
            .makeFolder(p(`/folder/made-${round}/deep`))
            .then(() => scratch.backend.remove(p(`/folder/made-${round}`), { recursive: true })),
        ];
        for (const outcome of await Promise.allSettled(calls)) {
          if (outcome.status === 'fulfilled') outcomes.add('done');
          else if (isHoldfastError(outcome.reason)) outcomes.add(outcome.reason.code);
          else throw outcome.reason;
        }
      }
    } finally {
      isDone = true;
      await swapping;
    }
    expect(await readdir(outside)).toEqual(['file']);
    expect([...outcomes]).toEqual(expect.arrayContaining(['done', 'invalid_path']));
  });
});

describe('what is neither file nor folder', () => {
  it('is never opened, read or replaced, not listed, and goes with its folder', async () => {
    execFileSync('mkfifo', [join(scratch.root, 'folder/pipe')]);
    await symlink('pipe', join(scratch.root, 'folder/to-pipe'));
    for (const path of [p('/folder/pipe'), p('/folder/to-pipe')]) {
      await refusal(scratch.backend.stat(path), 'invalid_path');
      await refusal(scratch.backend.open(path), 'invalid_path');
      await refusal(scratch.backend.write(path, chunksOf(bytes)), 'invalid_path');
      await refusal(scratch.backend.move(path, p('/new')), 'invalid_path');
      await refusal(scratch.backend.copy(path, p('/new')), 'invalid_path');
    }
    const { entries, total } = await scratch.backend.list(p('/folder'));
    expect(entries.map((entry) => entry.name)).toEqual(['file']);
    expect(total).toBe(1);
    expect(await scratch.backend.remove(p('/folder'), { recursive: true })).toBe(4);
  });
});

describe('names that are not for everyone', () => {
  it('keeps temporary names out of listings and refuses them as paths', async () => {
    const name = newTempName();
    await writeFile(join(scratch.root, 'folder', name), 'left over');
    expect((await scratch.backend.list(p('/folder'))).total).toBe(1);
    expect((await scratch.backend.list(ROOT, { recursive: true })).entries).toHaveLength(2);
    await refusal(scratch.backend.stat(p(`/folder/${name}`)), 'invalid_path');
    await refusal(scratch.backend.write(p(`/folder/${name}`), chunksOf(bytes)), 'invalid_path');
  });

  it('hides other spellings of the reserved name at the top only', async () => {
    await mkdir(join(scratch.root, '.HoldFast'));
    await mkdir(join(scratch.root, 'folder/.holdfast'));
    expect((await scratch.backend.list(ROOT)).entries.map((entry) => entry.name)).toEqual(['folder']);
    expect((await scratch.backend.list(p('/folder'))).entries.map((entry) => entry.name)).toEqual([
      '.holdfast',
      'file',
    ]);
  });

  it('leaves out names that no path can have, and removes them with their folder', async () => {
    const folder = join(scratch.root, 'folder');
    await writeFile(Buffer.concat([Buffer.from(`${folder}/`), Buffer.from([0xff, 0xfe])]), 'not UTF-8');
    await writeFile(`${folder}/back\\slash`, '');
    await writeFile(`${folder}/new\nline`, '');
    await writeFile(`${folder}/\ufffd`, 'a real replacement character');
    const { entries, total } = await scratch.backend.list(p('/folder'));
    expect(entries.map((entry) => entry.name)).toEqual(['file', '\ufffd']);
    expect(total).toBe(2);
    expect(await scratch.backend.remove(p('/folder'), { recursive: true })).toBe(6);
    expect(existsSync(folder)).toBe(false);
  });
});

describe('the validator', () => {
  it('changes when other bytes of the same size are put under the same mtime', async () => {
    const onDisk = join(scratch.root, 'folder/file');
    const before = await scratch.backend.stat(p('/folder/file'));
    const { atime, mtime } = await stat(onDisk);
    await writeFile(onDisk, sampleBytes(1000, 2));
    await utimes(onDisk, atime, mtime);
    const after = await scratch.backend.stat(p('/folder/file'));
    expect(after.size).toBe(before.size);
    expect(after.validator).not.toBe(before.validator);
  });
});

describe('a name with two hard links', () => {
  it('is gone after a move over the other', async () => {
    await link(join(scratch.root, 'folder/file'), join(scratch.root, 'folder/other'));
    await scratch.backend.move(p('/folder/file'), p('/folder/other'), { overwrite: true });
    expect(await readdir(join(scratch.root, 'folder'))).toEqual(['other']);
    expect(await bytesAt(scratch.backend, p('/folder/other'))).toEqual(bytes);
  });
});

describe('a folder that is removed while a file is written into it', () => {
  it('is made again', async () => {
    const write = scratch.backend.write(p('/folder/sub/new'), chunksOf(bytes), {
      precondition: () => rm(join(scratch.root, 'folder'), { recursive: true }),
    });
    expect((await write).replaced).toBe(false);
    expect(await bytesAt(scratch.backend, p('/folder/sub/new'))).toEqual(bytes);
  });
});

describe('an open file', () => {
  it('lends its descriptor to worker threads until it is disposed', async () => {
    const file = await scratch.backend.open(p('/folder/file'));
    expect(existsSync(`/proc/self/fd/${file.fd}`) || process.platform !== 'linux').toBe(true);
    await file[Symbol.asyncDispose]();
    await chmod(join(scratch.root, 'folder/file'), 0o600);
    expect(await digestAt(scratch.backend, p('/folder/file'))).toHaveLength(64);
  });
});
