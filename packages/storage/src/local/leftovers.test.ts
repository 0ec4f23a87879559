import { parseBackendPath } from '@holdfast/bytes/backend-path';
import { stageFile } from '@holdfast/bytes/durable-file';
import { errnoOf, fileSystemError } from '@holdfast/bytes/file-system-error';
import { newTempName } from '@holdfast/bytes/temp-name';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, open, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bytesAt, chunksOf, failingAfter, sampleBytes } from '../conformance/sample-bytes.ts';
import { refusal } from '../conformance/subject.ts';
import { renderIntent } from './intents.ts';
import { isSuperuser, makeScratchRoot } from './testing/scratch-root.ts';
import type { ScratchRoot } from './testing/scratch-root.ts';

const MIB = 1024 * 1024;
const bytes = sampleBytes(1000);
const p = parseBackendPath;
const ids = ['0', '1', '2', '3', '4'].map((digit) => `0000000${digit}-0000-4000-8000-000000000000`);

let scratch: ScratchRoot;
beforeEach(async () => {
  scratch = await makeScratchRoot();
});
afterEach(async () => {
  await scratch[Symbol.asyncDispose]();
});

/** A process that stages bytes and is then killed, as in a power cut. */
async function killDuringWrite(): Promise<void> {
  const program = `
    import { createLocalBackend } from ${JSON.stringify(new URL('../local.ts', import.meta.url).href)};
    const [root, volumeId] = process.argv.slice(1);
    const backend = createLocalBackend({ root, volumeId, ownerId: 'hub-1' });
    async function* source() {
      for (let index = 0; index < 8; index += 1) yield Buffer.alloc(${MIB}, index);
      process.stdout.write('staged');
      process.stdin.resume();
      await new Promise(() => {});
    }
    await backend.write('/folder/file', source());
  `;
  const args = ['--input-type=module', '--eval', program, scratch.root, scratch.volumeId];
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;
}

describe('an interrupted write', () => {
  it('leaves nothing in the staging folder, however it fails', async () => {
    const { backend } = scratch;
    const path = p('/file');
    const failure = new Error('gone');
    await expect(backend.write(path, failingAfter(bytes, failure))).rejects.toBe(failure);
    await refusal(backend.write(path, chunksOf(bytes), { expectedSize: 1 }), 'incomplete_body');
    await refusal(
      backend.write(path, chunksOf(bytes), { expectedSha256: '0'.repeat(64) }),
      'checksum_mismatch',
    );
    await backend.write(path, chunksOf(bytes));
    await refusal(backend.write(path, chunksOf(bytes), { ifAbsent: true }), 'precondition_failed');
    expect(await scratch.staged()).toEqual([]);
  });

  it('by kill -9 keeps the old file, and its bytes go with the next sweep', async () => {
    await scratch.backend.write(p('/folder/file'), chunksOf(bytes));
    await killDuringWrite();
    expect(await scratch.staged()).toHaveLength(1);
    expect((await scratch.backend.list(p('/'), { recursive: true })).entries).toHaveLength(2);
    const report = await scratch.backend.sweep();
    expect(report.removed).toBe(1);
    expect(report.bytes).toBeGreaterThan(0);
    expect(await scratch.staged()).toEqual([]);
    expect(await bytesAt(scratch.backend, p('/folder/file'))).toEqual(bytes);
  });
});

describe('sweep', () => {
  const stagingPath = (name: string): string => join(scratch.root, '.holdfast/staging', name);

  it('removes its own leftovers and the old ones of others, and leaves the rest', async () => {
    const yesterday = new Date(Date.now() - 25 * 3600 * 1000);
    const [own, fresh, old, foreign] = [
      `hub-1.${ids[0]}.tmp`,
      `hub-2.${ids[1]}.tmp`,
      `hub-2.${ids[2]}.tmp`,
      'notes.tmp',
    ];
    for (const name of [own, fresh, old, foreign]) await writeFile(stagingPath(name), 'twelve bytes');
    for (const name of [old, foreign]) await utimes(stagingPath(name), yesterday, yesterday);
    expect(await scratch.backend.sweep()).toEqual({ removed: 2, bytes: 24 });
    expect((await scratch.staged()).toSorted()).toEqual([fresh, foreign].toSorted());
    expect(await scratch.backend.sweep()).toEqual({ removed: 0, bytes: 0 });
  });

  it('removes temporary files in target folders by their intents, and survives damaged ones', async () => {
    const temp = newTempName();
    await mkdir(join(scratch.root, 'folder'));
    await writeFile(join(scratch.root, 'folder', temp), 'twelve bytes');
    await writeFile(join(scratch.root, 'folder/kept'), 'not ours');
    await writeFile(stagingPath(`hub-1.${ids[0]}.intent`), renderIntent(p('/folder/file'), temp));
    await writeFile(stagingPath(`hub-1.${ids[1]}.intent`), '{"folder": "/fol');
    await writeFile(
      stagingPath(`hub-1.${ids[2]}.intent`),
      JSON.stringify({ folder: '/folder', name: 'kept' }),
    );
    await writeFile(stagingPath(`hub-1.${ids[3]}.intent`), JSON.stringify({ folder: '/../..', name: temp }));
    await writeFile(stagingPath(`hub-1.${ids[4]}.intent`), renderIntent(p('/gone/file'), newTempName()));
    expect(await scratch.backend.sweep()).toEqual({ removed: 1, bytes: 12 });
    expect(await readdir(join(scratch.root, 'folder'))).toEqual(['kept']);
    expect(await scratch.staged()).toEqual([]);
  });

  it('makes the staging folder again when somebody removed it', async () => {
    await rm(join(scratch.root, '.holdfast/staging'), { recursive: true });
    expect(await scratch.backend.sweep()).toEqual({ removed: 0, bytes: 0 });
    await scratch.backend.write(p('/file'), chunksOf(bytes));
    expect(await scratch.staged()).toEqual([]);
  });
});

describe('another file system below the root', () => {
  // Mounting needs the superuser. Anyone else gets the same EXDEV, from the shared-memory file system to the root.
  if (isSuperuser) {
    it('takes writes, copies and moved files by a second staging in the target folder', async () => {
      const mounted = await scratch.mountBelow('mounted');
      const big = sampleBytes(3 * MIB + 1);
      const { entry, replaced } = await scratch.backend.write(p('/mounted/deep/file'), chunksOf(big));
      expect(replaced).toBe(false);
      expect(await scratch.backend.stat(p('/mounted/deep/file'))).toEqual(entry);
      expect((await bytesAt(scratch.backend, p('/mounted/deep/file'))).equals(big)).toBe(true);
      const again = scratch.backend.write(p('/mounted/deep/file'), chunksOf(bytes), { ifAbsent: true });
      await refusal(again, 'precondition_failed');

      await scratch.backend.write(p('/one'), chunksOf(bytes));
      await scratch.backend.copy(p('/one'), p('/mounted/deep/copied'));
      await refusal(scratch.backend.move(p('/one'), p('/mounted/deep/copied')), 'already_exists');
      const moved = await scratch.backend.move(p('/one'), p('/mounted/deep/moved'));
      expect(await scratch.backend.stat(p('/mounted/deep/moved'))).toEqual(moved);
      await refusal(scratch.backend.stat(p('/one')), 'file_not_found');
      await refusal(scratch.backend.move(p('/mounted/deep'), p('/elsewhere')), 'not_supported');
      expect((await readdir(join(mounted, 'deep'))).toSorted()).toEqual(['copied', 'file', 'moved']);
      expect(await scratch.staged()).toEqual([]);
    });

    it('leaves nothing there when it is full, and tells so', async () => {
      const mounted = await scratch.mountBelow('mounted', '1m');
      await scratch.backend.write(p('/mounted/file'), chunksOf(bytes));
      const write = scratch.backend.write(p('/mounted/file'), chunksOf(sampleBytes(2 * MIB)));
      await refusal(write, 'storage_full');
      expect(await readdir(mounted)).toEqual(['file']);
      expect(await bytesAt(scratch.backend, p('/mounted/file'))).toEqual(bytes);
      expect(await scratch.staged()).toEqual([]);
    });
  } else {
    it('takes a staged file by a second staging in the target folder', async () => {
      const shared = await mkdtemp('/dev/shm/holdfast-');
      try {
        await using staged = await stageFile(chunksOf(bytes), { folder: shared, label: '/file' });
        const intentPath = join(shared, 'intent');
        const crossDevice = { intentPath, intentText: (name: string) => renderIntent(p('/file'), name) };
        await staged.publish({ folder: scratch.root, name: 'file', crossDevice });
        expect(await bytesAt(scratch.backend, p('/file'))).toEqual(bytes);
      } finally {
        await rm(shared, { recursive: true });
      }
    });
  }
});

describe('a full storage', () => {
  if (isSuperuser) {
    it('refuses the write with storage_full, keeps the old file and gives the room back', async () => {
      await using small = await makeScratchRoot({ tmpfs: '2m' });
      await small.backend.write(p('/file'), chunksOf(bytes));
      const error = await refusal(
        small.backend.write(p('/file'), chunksOf(sampleBytes(8 * MIB))),
        'storage_full',
      );
      expect(error.status).toBe(507);
      expect(await small.staged()).toEqual([]);
      expect(await bytesAt(small.backend, p('/file'))).toEqual(bytes);
      const { totalBytes, usedBytes } = await small.backend.usage();
      expect(totalBytes).toBe(2 * MIB);
      expect(usedBytes).toBeLessThan(MIB / 2);
      await small.backend.write(p('/file'), chunksOf(sampleBytes(MIB)));
    });
  } else {
    // Without the right to mount a small file system, the system's own full device gives the same error.
    it('is told as storage_full', async () => {
      const full = await open('/dev/full', 'w');
      const error = await full.write('x').catch((problem: unknown) => problem);
      await full.close();
      expect(errnoOf(error)).toBe('ENOSPC');
      expect(fileSystemError(error, 'Writing /file')).toMatchObject({ code: 'storage_full', status: 507 });
    });
  }

  it('is not needed for reading what is there', async () => {
    await scratch.backend.write(p('/file'), chunksOf(bytes));
    expect(await readFile(join(scratch.root, 'file'))).toEqual(bytes);
  });
});
