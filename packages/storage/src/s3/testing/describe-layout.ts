import { parseBackendPath, ROOT } from '@holdfast/bytes/backend-path';
import { HeadObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { sha256Hex } from '@holdfast/bytes/sha256';
import { describe, expect, it } from 'vitest';
import { bytesAt, chunksOf, sampleBytes } from '../../conformance/sample-bytes.ts';
import { refusal } from '../../conformance/subject.ts';
import { Bucket } from '../bucket.ts';
import { parseS3Config } from '../config.ts';
import { Connection } from '../connection.ts';
import { copyOnServer } from '../copying.ts';
import type { S3Bench } from './s3-bench.ts';

const MIB = 1024 ** 2;
const at = parseBackendPath;

/** How files and folders are laid out as keys, and what goes with them. */
export function describeLayout(bench: () => S3Bench): void {
  describe('carries its SHA-256 in the metadata', () => {
    it.each([
      ['of a small file', 1000, false],
      ['of a large file whose SHA-256 is known before', 17 * MIB, true],
      ['of a large file whose SHA-256 is not', 17 * MIB, false],
    ])('%s', async (_what, size, isKnown) => {
      const bucket = await bench().bucket();
      const bytes = sampleBytes(size, 2);
      const sha256 = sha256Hex(bytes);
      const options = isKnown ? { expectedSha256: sha256 } : {};
      await bucket.backend.write(at('/a/file'), chunksOf(bytes, MIB), options);
      expect(await bucket.metadata('a/file')).toMatchObject({ 'holdfast-sha256': sha256 });
      await bucket.backend.copy(at('/a/file'), at('/copied'));
      expect(await bucket.metadata('copied')).toMatchObject({ 'holdfast-sha256': sha256 });
      await bucket.backend.move(at('/a'), at('/moved'));
      expect(await bucket.metadata('moved/file')).toMatchObject({ 'holdfast-sha256': sha256 });
      expect(await bucket.keys()).toEqual(['copied', 'moved/file']);
      expect(await bucket.uploads()).toEqual([]);
    });
  });

  it('computes the digest of a copy from the bytes, whatever the metadata says', async () => {
    const bucket = await bench().bucket();
    const bytes = sampleBytes(1000, 3);
    await bucket.put('foreign', bytes, { 'holdfast-sha256': sha256Hex('other bytes'), author: 'somebody' });
    const copied = await bucket.backend.copy(at('/foreign'), at('/copied'));
    expect(copied.sha256).toBe(sha256Hex(bytes));
    expect(await bucket.metadata('copied')).toMatchObject({
      'holdfast-sha256': sha256Hex(bytes),
      author: 'somebody',
    });
    const copy = bucket.backend.copy(at('/foreign'), at('/never'), { expectedSha256: sha256Hex('x') });
    await refusal(copy, 'checksum_mismatch');
    await refusal(bucket.backend.stat(at('/never')), 'file_not_found');
  });

  it('keeps the headers of an object that is copied or moved', async () => {
    const bucket = await bench().bucket();
    const headers = { CacheControl: 'max-age=60', ContentType: 'text/plain', ContentLanguage: 'de' };
    const put = new PutObjectCommand({ Bucket: bucket.config.bucket, Key: 'page', Body: 'x', ...headers });
    await bench().admin.send(put);
    await bucket.backend.copy(at('/page'), at('/copied'));
    await bucket.backend.move(at('/page'), at('/moved'));
    for (const Key of ['copied', 'moved']) {
      const head = new HeadObjectCommand({ Bucket: bucket.config.bucket, Key });
      expect(await bench().admin.send(head)).toMatchObject(headers);
    }
  });

  it('copies by parts what is too large for one request', async () => {
    const bucket = await bench().bucket();
    const bytes = sampleBytes(13 * MIB, 4);
    await bucket.backend.write(at('/from'), chunksOf(bytes, MIB));
    await using connection = new Connection(parseS3Config(bucket.config), 30_000);
    const raw = new Bucket(connection, bucket.volumeId, 'hub-1');
    const call = { doing: 'Copying' };
    const source = await raw.objectAt(at('/from'), call);
    if (source === undefined) throw new Error('The source is not there.');
    const copy = { from: at('/from'), source, to: at('/to'), overwrite: false, singleLimit: 5 * MIB };
    expect((await copyOnServer(raw, copy, call)).size).toBe(13 * MIB);
    expect((await bytesAt(bucket.backend, at('/to'))).equals(bytes)).toBe(true);
    // The version that was seen is gone: nothing is copied, and no upload stays behind.
    for (const size of [13 * MIB, 5]) {
      await bucket.put('from', sampleBytes(size, 5));
      for (const singleLimit of [5 * MIB, 100 * MIB]) {
        await refusal(copyOnServer(raw, { ...copy, to: at('/late'), singleLimit }, call), 'conflict');
      }
    }
    expect(await bucket.uploads()).toEqual([]);
    expect(await bucket.keys()).toEqual(['from', 'to']);
  });

  it('shows the folders of a console, and those that only keys tell of', async () => {
    const bucket = await bench().bucket();
    await bucket.put('console/', '');
    await bucket.put('by-keys/deep/file', 'x');
    const { entries } = await bucket.backend.list(ROOT);
    expect(entries.map((entry) => [entry.path, entry.type])).toEqual([
      ['/by-keys', 'directory'],
      ['/console', 'directory'],
    ]);
    expect((await bucket.backend.list(at('/console'))).entries).toEqual([]);
    await bucket.backend.makeFolder(at('/made/inside'));
    expect(await bucket.keys()).toEqual(['by-keys/deep/file', 'console/', 'made/', 'made/inside/']);
    expect(await bucket.backend.remove(at('/console'))).toBe(1);
    expect(await bucket.backend.remove(at('/by-keys'), { recursive: true })).toBe(3);
  });

  it('keeps a made folder when its last file goes, and no other', async () => {
    const bucket = await bench().bucket();
    await bucket.backend.makeFolder(at('/made'));
    for (const folder of ['/made', '/only-keys']) {
      await bucket.backend.write(at(`${folder}/file`), chunksOf(sampleBytes(1)));
      await bucket.backend.remove(at(`${folder}/file`));
    }
    expect((await bucket.backend.list(ROOT)).entries.map((entry) => entry.path)).toEqual(['/made']);
  });

  it('leaves out keys that no path can have, and stays out of what is beside its prefix', async () => {
    const bucket = await bench().bucket({ prefix: 'p' });
    for (const key of ['p/a//b', 'p//x', 'p/../y', 'p/c\\d', 'p/e\u0007f', 'p/good', 'pq', 'beside']) {
      await bucket.put(key, 'x');
    }
    const { entries } = await bucket.backend.list(ROOT, { recursive: true });
    expect(entries.map((entry) => entry.path)).toEqual(['/a', '/good']);
    expect(await bucket.backend.remove(at('/a'), { recursive: true })).toBe(3);
    expect(await bucket.keys()).toEqual(
      ['p/a//b', 'p//x', 'p/../y', 'p/c\\d', 'p/e\u0007f', 'p/good', 'pq', 'beside']
        .filter((key) => key !== 'p/a//b')
        .toSorted(),
    );
  });

  it('removes whole folders of any keys, in batches', async () => {
    const bucket = await bench().bucket();
    const keys = Array.from({ length: 1203 }, (_, index) => `many/${index % 7}/file ${index}+&<>"'`);
    await bench().seed(bucket, [...keys, 'many/control\u0001', 'many-beside']);
    expect(await bucket.backend.remove(at('/many'), { recursive: true })).toBe(1204 + 7 + 1);
    expect(await bucket.keys()).toEqual(['many-beside']);
  }, 60_000);

  it('lists in the order of code units where UTF-8 has another one', async () => {
    const bucket = await bench().bucket();
    const names = ['\u{1f600}', '\uff08a\uff09', '\ue000', 'z', '\u{10000}/x', '\ud7ff'];
    for (const name of names) await bucket.put(`order/${name}`, 'x');
    const expected = names.map((name) => name.replace(/\/.*/, '')).toSorted();
    const seen: string[] = [];
    for (let cursor: string | undefined; ;) {
      const page = await bucket.backend.list(at('/order'), {
        limit: 2,
        ...(cursor === undefined ? {} : { cursor }),
      });
      seen.push(...page.entries.map((entry) => entry.name));
      cursor = page.nextCursor;
      if (cursor === undefined) break;
    }
    expect(seen).toEqual(expected);
  });

  it('refuses a path whose key would be too long', async () => {
    const bucket = await bench().bucket();
    const long = at(`/${Array.from({ length: 5 }, () => 'x'.repeat(220)).join('/')}`);
    await refusal(bucket.backend.write(long, chunksOf(sampleBytes(1))), 'invalid_path');
    await refusal(bucket.backend.stat(long), 'invalid_path');
    await refusal(bucket.backend.makeFolder(long), 'invalid_path');
  });

  describe('takes a move of a folder back when a file cannot be copied', () => {
    it('so that everything is where it was', async () => {
      const bucket = await bench().bucket();
      await bench().seed(bucket, ['from/a', 'from/b', 'from/sub/c']);
      const proxy = await bench().proxy();
      const endpoint = `http://127.0.0.1:${proxy.listenPort}`;
      const backend = bucket.other({ endpoint, timeoutMs: 300 });
      const controller = new AbortController();
      const move = backend.move(at('/from'), at('/to'), { signal: controller.signal });
      await proxy.passed('toServer', 4000);
      controller.abort();
      await refusal(move, 'cancelled');
      await backend[Symbol.asyncDispose]();
      expect(await bucket.keys()).toEqual(['from/a', 'from/b', 'from/sub/c']);
    });
  });
}
