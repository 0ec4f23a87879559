import { parseBackendPath, ROOT } from '@holdfast/bytes/backend-path';
import { chmod, mkdir, readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bytesAt, chunksOf, sampleBytes } from '../conformance/sample-bytes.ts';
import { refusal } from '../conformance/subject.ts';
import { createLocalBackend, prepareLocalRoot } from '../local.ts';
import type { LocalBackend } from '../local.ts';
import { isSuperuser, makeScratchRoot } from './testing/scratch-root.ts';
import type { ScratchRoot } from './testing/scratch-root.ts';

const file = parseBackendPath('/folder/file');
const bytes = sampleBytes(1000);

let scratch: ScratchRoot;
beforeEach(async () => {
  scratch = await makeScratchRoot();
  await scratch.backend.write(file, chunksOf(bytes));
});
afterEach(async () => {
  await scratch[Symbol.asyncDispose]();
});

/** One call of every operation that changes the storage. */
function changes(backend: LocalBackend): (() => Promise<unknown>)[] {
  return [
    () => backend.write(parseBackendPath('/new'), chunksOf(bytes)),
    () => backend.remove(file),
    () => backend.move(file, parseBackendPath('/new')),
    () => backend.makeFolder(parseBackendPath('/new')),
    () => backend.sweep(),
  ];
}

describe('prepareLocalRoot', () => {
  it('marks a folder once and adopts the marker after', async () => {
    const marker: unknown = JSON.parse(await readFile(join(scratch.root, '.holdfast/volume.json'), 'utf8'));
    expect(marker).toMatchObject({ volume_id: scratch.volumeId });
    expect(await prepareLocalRoot({ root: scratch.root })).toEqual({ volumeId: scratch.volumeId });
  });

  it('agrees on one id when two set the same folder up at once', async () => {
    const root = join(scratch.base, 'shared');
    const prepared = await Promise.all(
      Array.from({ length: 6 }, () => prepareLocalRoot({ root, create: true })),
    );
    expect(new Set(prepared.map((one) => one.volumeId)).size).toBe(1);
  });

  it('makes the default folder for its owner only', async () => {
    const root = join(scratch.base, 'data/files');
    await prepareLocalRoot({ root, create: true });
    expect((await stat(root)).mode & 0o777).toBe(0o700);
    expect((await readdir(join(root, '.holdfast'))).toSorted()).toEqual(['staging', 'volume.json']);
  });

  it('refuses what cannot be a root, by the field config.root, and makes nothing', async () => {
    await writeFile(join(scratch.base, 'a-file'), '');
    await mkdir(join(scratch.base, 'damaged/.holdfast'), { recursive: true });
    await writeFile(join(scratch.base, 'damaged/.holdfast/volume.json'), '{"volume_id": 7}');
    const roots = [
      'relative/path',
      '',
      '/',
      `${scratch.base}/missing`,
      `${scratch.base}/a-file`,
      `${scratch.base}/damaged`,
    ];
    for (const root of [...roots, `${scratch.base}/a-file/below`, `${scratch.base}/a\0b`]) {
      const error = await refusal(prepareLocalRoot({ root }), 'validation_failed');
      expect(error.errors?.[0]?.field).toBe('config.root');
    }
    expect((await readdir(scratch.base)).toSorted()).toEqual(['a-file', 'damaged', 'root']);
  });
});

describe('a root that has vanished', () => {
  it('is unavailable for every operation, and nothing is made in its place', async () => {
    const isFresh = scratch.backend.freshness(await scratch.backend.stat(file));
    expect(isFresh?.()).toBe(true);
    await rename(scratch.root, join(scratch.base, 'elsewhere'));
    const { backend } = scratch;
    const reads = [
      () => backend.stat(file),
      () => backend.open(file),
      () => backend.list(ROOT),
      () => backend.usage(),
    ];
    for (const call of [...reads, ...changes(backend)]) {
      const error = await refusal(call(), 'backend_unavailable');
      expect(error.message).toContain('mounted?');
      expect(error.retryable).toBe(true);
    }
    expect(isFresh?.()).toBe(false);
    expect(await readdir(scratch.base)).toEqual(['elsewhere']);
  });

  it('is not taken for an empty folder when only the mount point is left', async () => {
    await rename(scratch.root, join(scratch.base, 'elsewhere'));
    await mkdir(scratch.root);
    const { backend } = scratch;
    for (const call of [
      () => backend.stat(file),
      () => backend.open(file),
      () => backend.list(ROOT),
      ...changes(backend),
    ]) {
      expect((await refusal(call(), 'backend_unavailable')).message).toContain('mounted?');
    }
    expect(await readdir(scratch.root)).toEqual([]);
  });

  it('in the middle of a write fails the write, and nothing is made in its place', async () => {
    async function* source(): AsyncGenerator<Uint8Array> {
      yield bytes;
      await rename(scratch.root, join(scratch.base, 'elsewhere'));
      await mkdir(scratch.root);
      yield bytes;
    }
    await refusal(scratch.backend.write(parseBackendPath('/new/file'), source()), 'backend_unavailable');
    expect(await readdir(scratch.root)).toEqual([]);
    expect(await readdir(join(scratch.base, 'elsewhere/.holdfast/staging'))).toEqual([]);
  });

  it('works again when it is back', async () => {
    await rename(scratch.root, join(scratch.base, 'elsewhere'));
    await refusal(scratch.backend.stat(file), 'backend_unavailable');
    await rename(join(scratch.base, 'elsewhere'), scratch.root);
    expect(await bytesAt(scratch.backend, file)).toEqual(bytes);
    await scratch.backend.write(file, chunksOf(bytes));
  });

  it('shows in the probe: the check that failed, and those that were not tried', async () => {
    await rm(join(scratch.root, '.holdfast/volume.json'));
    const report = await scratch.backend.probe();
    expect(report.ok).toBe(false);
    expect(report.checks.map((check) => [check.name, check.ok])).toEqual([
      ['root', true],
      ['volume', false],
      ['list', false],
      ['write', false],
      ['read', false],
      ['remove', false],
    ]);
    expect(report.checks[1]?.message).toContain('mounted?');
    expect(report.checks[2]?.message).toContain('Not tried');
  });
});

describe('another volume at the root', () => {
  it('is refused for changes and listings', async () => {
    const stranger = createLocalBackend({ root: scratch.root, volumeId: 'another', ownerId: 'hub-1' });
    for (const call of [() => stranger.list(ROOT), ...changes(stranger)]) {
      expect((await refusal(call(), 'wrong_volume')).message).toContain(scratch.volumeId);
    }
    expect(await bytesAt(scratch.backend, file)).toEqual(bytes);
  });

  it('is noticed when it takes the place of the right one later', async () => {
    const other = join(scratch.base, 'other');
    await prepareLocalRoot({ root: other, create: true });
    await scratch.backend.write(file, chunksOf(bytes));
    await rename(scratch.root, join(scratch.base, 'elsewhere'));
    await rename(other, scratch.root);
    await refusal(scratch.backend.write(file, chunksOf(bytes)), 'wrong_volume');
    await refusal(scratch.backend.stat(file), 'wrong_volume');
    expect(await readdir(scratch.root)).toEqual(['.holdfast']);
  });

  it('is told apart from a damaged marker', async () => {
    await writeFile(join(scratch.root, '.holdfast/volume.json'), 'not json');
    const error = await refusal(scratch.backend.remove(file), 'backend_unavailable');
    expect(error.message).toContain('damaged');
    expect(error.retryable).toBe(false);
  });
});

describe('a root that is a symlink', () => {
  it('is followed to where it points now', async () => {
    const alias = join(scratch.base, 'alias');
    await symlink(scratch.root, alias);
    const backend = createLocalBackend({ root: alias, volumeId: scratch.volumeId, ownerId: 'hub-1' });
    expect(await bytesAt(backend, file)).toEqual(bytes);
    await rename(scratch.root, join(scratch.base, 'moved'));
    await rm(alias);
    await symlink(join(scratch.base, 'moved'), alias);
    expect(await bytesAt(backend, file)).toEqual(bytes);
    await backend.write(file, chunksOf(Buffer.from('new')));
    expect((await bytesAt(backend, file)).toString()).toBe('new');
  });
});

describe('a file system that is read-only', () => {
  it('refuses changes with read_only and still reads', async () => {
    // The superuser is not held by permission bits, and anyone else cannot mount: each has a real way to read-only.
    await using readOnly = isSuperuser ? await makeScratchRoot({ tmpfs: '8m' }) : await makeScratchRoot();
    await readOnly.backend.write(file, chunksOf(bytes));
    const folders = ['.holdfast/staging', 'folder', '.'].map((name) => join(readOnly.root, name));
    if (isSuperuser) await readOnly.remount('ro');
    else for (const folder of folders) await chmod(folder, 0o500);
    for (const call of changes(readOnly.backend).slice(0, 4)) await refusal(call(), 'read_only');
    expect(await bytesAt(readOnly.backend, file)).toEqual(bytes);
    const report = await readOnly.backend.probe();
    expect(report.checks.find((check) => !check.ok)?.name).toBe('write');
    if (isSuperuser) await readOnly.remount('rw');
    else for (const folder of folders) await chmod(folder, 0o700);
    expect((await readOnly.backend.write(file, chunksOf(bytes))).replaced).toBe(true);
  });
});
