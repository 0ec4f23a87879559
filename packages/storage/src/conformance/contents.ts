import { ROOT } from '@holdfast/bytes/backend-path';
import { EMPTY_SHA256, sha256Hex } from '@holdfast/bytes/sha256';
import { HoldfastError } from '@holdfast/contract/errors';
import { describe, expect, it } from 'vitest';
import type { ContentArea } from '../contents.ts';
import { chunksOf, failingAfter, readAll, sampleBytes } from './sample-bytes.ts';
import { beginUpload, chunkStarts, uploadOf } from './staged-upload.ts';
import { refusal, requireRefusal } from './subject.ts';
import type { ConformanceBench } from './subject.ts';

const CHUNK = 300_007;
let seeds = 1000;

/** Bytes that no other test has. */
function freshBytes(size: number): Buffer {
  seeds += 1;
  return sampleBytes(size, seeds);
}

async function bytesOf(area: ContentArea, sha256: string): Promise<Buffer> {
  await using file = await area.open(sha256);
  return await readAll(file);
}

/** The vault and the uploads on their way into it. */
export function describeContents(bench: ConformanceBench): void {
  const area = (): ContentArea => {
    const { contents } = bench.backend;
    if (contents === undefined) throw new Error('This backend has no contents.');
    return contents;
  };

  describe('an upload', () => {
    it('takes chunks in any order and side by side, and is published under the digest of the whole', async () => {
      const bytes = freshBytes(CHUNK * 5 + 1234);
      const upload = await beginUpload(area(), bytes.byteLength, CHUNK);
      const starts = chunkStarts(bytes.byteLength, CHUNK).toReversed();
      await Promise.all(
        starts.map(async (start) => {
          const end = Math.min(start + CHUNK, bytes.byteLength);
          const received = await upload.send(bytes, start, end);
          expect(received).toMatchObject({
            bytes: end - start,
            sha256: sha256Hex(bytes.subarray(start, end)),
            complete: true,
          });
        }),
      );
      const sha256 = sha256Hex(bytes);
      expect(await upload.seal(bytes.byteLength)).toBe(sha256);
      expect(await area().stat(sha256)).toBeNull();
      expect(await upload.upload.publish(sha256, bytes.byteLength)).toEqual({ stored: true });
      expect(await area().stat(sha256)).toMatchObject({ sha256, size: bytes.byteLength });
      expect((await bytesOf(area(), sha256)).equals(bytes)).toBe(true);
    });

    it('tells how far it is', async () => {
      const bytes = freshBytes(CHUNK);
      const upload = await beginUpload(area(), CHUNK, CHUNK);
      const seen: number[] = [];
      const options = { length: CHUNK, onProgress: (count: number) => void seen.push(count) };
      await upload.upload.receive(0, chunksOf(bytes, 50_000), options);
      expect(seen).toEqual(seen.toSorted((a, b) => a - b));
      expect(seen.at(-1)).toBe(CHUNK);
      await upload.upload.discard();
    });

    it('takes a chunk again whose answer was lost', async () => {
      const bytes = freshBytes(CHUNK * 3);
      const upload = await uploadOf(area(), bytes, CHUNK);
      await upload.send(bytes, CHUNK, CHUNK * 2);
      await upload.send(bytes, 0, CHUNK);
      expect(await upload.seal(bytes.byteLength)).toBe(sha256Hex(bytes));
      await upload.upload.discard();
    });

    it('of no bytes becomes the empty content', async () => {
      const upload = await beginUpload(area(), 0, CHUNK);
      expect(await upload.seal(0)).toBe(EMPTY_SHA256);
      await upload.upload.publish(EMPTY_SHA256, 0);
      expect(await area().stat(EMPTY_SHA256)).toMatchObject({ size: 0 });
      expect(await bytesOf(area(), EMPTY_SHA256)).toEqual(Buffer.alloc(0));
    });

    it('of unknown size takes pieces of any length, one after the other', async () => {
      const bytes = freshBytes(1_500_000);
      const upload = await beginUpload(area(), null, null);
      let start = 0;
      for (const length of [1, 70_000, 0, 1_048_576, 381_423]) {
        await upload.send(bytes, start, start + length);
        start += length;
      }
      expect(await upload.seal(bytes.byteLength)).toBe(sha256Hex(bytes));
      expect(upload.upload.hashed).toBe(bytes.byteLength);
      await upload.upload.publish(sha256Hex(bytes), bytes.byteLength);
      expect((await bytesOf(area(), sha256Hex(bytes))).equals(bytes)).toBe(true);
    });

    it('of one small piece is published as well', async () => {
      const bytes = freshBytes(3000);
      const upload = await uploadOf(area(), bytes, 8192);
      expect(await upload.seal(bytes.byteLength)).toBe(sha256Hex(bytes));
      await upload.upload.publish(sha256Hex(bytes), bytes.byteLength);
      expect(await bytesOf(area(), sha256Hex(bytes))).toEqual(bytes);
    });

    it('goes on after a restart with all that was acknowledged', async () => {
      const bytes = freshBytes(CHUNK * 4);
      const upload = await beginUpload(area(), bytes.byteLength, CHUNK);
      await upload.send(bytes, CHUNK, CHUNK * 2);
      await upload.restart();
      await upload.send(bytes, CHUNK * 3, CHUNK * 4);
      await upload.send(bytes, 0, CHUNK);
      await upload.restart();
      await upload.send(bytes, CHUNK * 2, CHUNK * 3);
      await upload.restart();
      expect(await upload.seal(bytes.byteLength)).toBe(sha256Hex(bytes));
      await upload.restart();
      expect(await upload.seal(bytes.byteLength)).toBe(sha256Hex(bytes));
      await upload.restart();
      expect(await upload.upload.publish(sha256Hex(bytes), bytes.byteLength)).toEqual({ stored: true });
      expect((await bytesOf(area(), sha256Hex(bytes))).equals(bytes)).toBe(true);
    });

    it('is sealed twice and published twice with the same outcome', async () => {
      const bytes = freshBytes(CHUNK + 1);
      const upload = await uploadOf(area(), bytes, CHUNK);
      const sha256 = sha256Hex(bytes);
      expect(await upload.seal(bytes.byteLength)).toBe(sha256);
      expect(await upload.seal(bytes.byteLength)).toBe(sha256);
      await upload.upload.publish(sha256, bytes.byteLength);
      await upload.upload.publish(sha256, bytes.byteLength);
      expect((await bytesOf(area(), sha256)).equals(bytes)).toBe(true);
    });

    it('is placed at a path as one file, where that can be done without copying', async () => {
      const bytes = freshBytes(CHUNK * 2 + 1);
      const sha256 = sha256Hex(bytes);
      const path = bench.at('new', 'placed.img');
      const first = await uploadOf(area(), bytes, CHUNK);
      await first.seal(bytes.byteLength);
      await first.restart();
      const options = { sha256, size: bytes.byteLength, overwrite: false };
      if (first.upload.place === undefined) {
        // Then `write` takes what is streamed.
        const write = { expectedSha256: sha256, expectedSize: bytes.byteLength, ifAbsent: true };
        await bench.backend.write(path, first.upload.stream(), write);
        await first.upload.discard();
        await using file = await bench.backend.open(path);
        expect((await readAll(file)).equals(bytes)).toBe(true);
        return;
      }
      const placed = await first.upload.place(path, options);
      expect(placed).toMatchObject({ sha256, replaced: false });
      expect(placed?.entry).toEqual(await bench.backend.stat(path));
      {
        await using file = await bench.backend.open(path);
        expect((await readAll(file)).equals(bytes)).toBe(true);
      }
      expect(await area().stat(sha256)).toBeNull();
      await refusal(first.upload.place(path, { ...options, overwrite: true }), 'file_not_found');

      const second = await uploadOf(area(), bytes.subarray(1), CHUNK);
      const other = { sha256: await second.seal(bytes.byteLength - 1), size: bytes.byteLength - 1 };
      const place = second.upload.place?.bind(second.upload);
      if (place === undefined)
        throw new Error('The second upload cannot be placed, but the first one could.');
      await refusal(place(path, { ...other, overwrite: false }), 'precondition_failed');
      await refusal(place(bench.at('new'), { ...other, overwrite: true }), 'is_a_directory');
      await refusal(
        place(bench.at('new', 'placed.img', 'below'), { ...other, overwrite: true }),
        'not_a_directory',
      );
      expect(await place(path, { ...other, overwrite: true })).toMatchObject({ replaced: true });
      await using file = await bench.backend.open(path);
      expect((await readAll(file)).equals(bytes.subarray(1))).toBe(true);
    });

    it('leaves a content that is there already as it is', async () => {
      const bytes = freshBytes(CHUNK);
      const { sha256 } = await area().store(chunksOf(bytes));
      const before = await area().stat(sha256);
      const upload = await uploadOf(area(), bytes, CHUNK);
      await upload.seal(bytes.byteLength);
      expect(await upload.upload.publish(sha256, bytes.byteLength)).toEqual({ stored: false });
      expect(await area().stat(sha256)).toEqual(before);
      await upload.upload.discard();
      expect((await bytesOf(area(), sha256)).equals(bytes)).toBe(true);
    });

    it('is not sealed while pieces are missing', async () => {
      const bytes = freshBytes(CHUNK * 2);
      const upload = await beginUpload(area(), bytes.byteLength, CHUNK);
      await upload.send(bytes, CHUNK, CHUNK * 2);
      await refusal(upload.seal(bytes.byteLength), 'chunks_missing');
      await upload.upload.discard();
    });

    it('gives back its sealed bytes', async () => {
      const bytes = freshBytes(CHUNK * 2 + 5);
      const upload = await uploadOf(area(), bytes, CHUNK);
      await upload.seal(bytes.byteLength);
      const parts: Uint8Array[] = [];
      for await (const part of upload.upload.stream()) parts.push(Buffer.from(part));
      expect(Buffer.concat(parts).equals(bytes)).toBe(true);
      await upload.upload.discard();
    });

    it('does not outlive its being discarded, and can be discarded again', async () => {
      const bytes = freshBytes(CHUNK * 2);
      const upload = await beginUpload(area(), bytes.byteLength, CHUNK);
      await upload.send(bytes, 0, CHUNK);
      const ids = async (): Promise<string[]> => (await area().staging.list()).map(({ id }) => id);
      expect(await ids()).toContain(upload.key.id);
      await upload.upload.discard();
      await upload.upload.discard();
      expect(await ids()).not.toContain(upload.key.id);
      await refusal(area().staging.resume(upload.key), 'file_not_found');
    });

    it('is listed, and left alone by a sweep', async () => {
      const bytes = freshBytes(CHUNK * 2);
      const upload = await beginUpload(area(), bytes.byteLength, CHUNK);
      await upload.send(bytes, 0, CHUNK);
      await bench.backend.sweep();
      const listed = (await area().staging.list()).find(({ id }) => id === upload.key.id);
      expect(listed?.touchedAt.getTime()).toBeGreaterThan(Date.UTC(2020));
      await upload.restart();
      await upload.send(bytes, CHUNK, CHUNK * 2);
      expect(await upload.seal(bytes.byteLength)).toBe(sha256Hex(bytes));
      await upload.upload.discard();
    });

    it.each(['', '.', '..', '../volume.json', 'a/b', 'a.b', 'a\0', 'ä', 'x'.repeat(65)])(
      'has no id like %j',
      async (id) => {
        const upload = { id, size: 1, chunkSize: 1 };
        await refusal(area().staging.create(upload), 'validation_failed');
        await refusal(area().staging.resume({ ...upload, state: {} }), 'validation_failed');
      },
    );

    it('has sensible advice for those who plan chunks', () => {
      const { minimum, preferred, maximum, maxChunks } = area().staging.advice;
      expect(minimum).toBeGreaterThanOrEqual(1);
      expect(preferred).toBeGreaterThanOrEqual(minimum);
      expect(maximum).toBeGreaterThanOrEqual(preferred);
      expect(maxChunks).toBeGreaterThanOrEqual(1000);
    });
  });

  describe('a piece that goes wrong', () => {
    /** An upload of three chunks of which the first is there. */
    async function begun(bytes: Buffer): ReturnType<typeof beginUpload> {
      const upload = await beginUpload(area(), bytes.byteLength, CHUNK);
      await upload.send(bytes, 0, CHUNK);
      return upload;
    }
    /** Sends the rest and shows that nothing of what went wrong has stayed. */
    async function expectWhole(upload: Awaited<ReturnType<typeof begun>>, bytes: Buffer): Promise<void> {
      await upload.send(bytes, CHUNK, CHUNK * 2);
      await upload.send(bytes, CHUNK * 2, CHUNK * 3);
      expect(await upload.seal(bytes.byteLength)).toBe(sha256Hex(bytes));
      await upload.upload.discard();
    }
    const bytes = freshBytes(CHUNK * 3);
    const other = freshBytes(CHUNK);

    it('by its digest does not count', async () => {
      const upload = await begun(bytes);
      const expectedSha256 = sha256Hex(bytes.subarray(CHUNK, CHUNK * 2));
      const options = { length: CHUNK, expectedSha256 };
      await refusal(upload.upload.receive(CHUNK, chunksOf(other), options), 'checksum_mismatch');
      await expectWhole(upload, bytes);
    });

    it('by its source tells the error of the source', async () => {
      const upload = await begun(bytes);
      const failure = new Error('the line is dead');
      const source = failingAfter(other.subarray(0, 200_000), failure);
      await expect(upload.upload.receive(CHUNK, source, { length: CHUNK })).rejects.toBe(failure);
      await expectWhole(upload, bytes);
    });

    it('by too few bytes is refused', async () => {
      const upload = await begun(bytes);
      const source = chunksOf(other.subarray(1));
      await refusal(upload.upload.receive(CHUNK, source, { length: CHUNK }), 'incomplete_body');
      await expectWhole(upload, bytes);
    });

    it('by too many bytes is refused, and its neighbour stays as it is', async () => {
      const upload = await begun(bytes);
      await upload.send(bytes, CHUNK * 2, CHUNK * 3);
      const source = chunksOf(freshBytes(CHUNK + 1));
      await refusal(upload.upload.receive(CHUNK, source, { length: CHUNK }), 'too_large');
      await expectWhole(upload, bytes);
    });

    it('by being called off lets go of its source', async () => {
      const upload = await begun(bytes);
      const controller = new AbortController();
      let isLetGo = false;
      async function* source(): AsyncGenerator<Uint8Array> {
        try {
          yield other.subarray(0, 100_000);
          controller.abort();
          yield other.subarray(100_000, 200_000);
        } finally {
          isLetGo = true;
        }
      }
      const { signal } = controller;
      await refusal(upload.upload.receive(CHUNK, source(), { length: CHUNK, signal }), 'cancelled');
      expect(isLetGo).toBe(true);
      await expectWhole(upload, bytes);
    });

    it('by being called off while its source hangs ends with the reason that was given', async () => {
      const upload = await begun(bytes);
      const controller = new AbortController();
      async function* source(): AsyncGenerator<Uint8Array> {
        yield other.subarray(0, 100_000);
        queueMicrotask(() => controller.abort(new HoldfastError('superseded', 'Another one has come.')));
        await new Promise<never>(() => {});
      }
      const { signal } = controller;
      await refusal(upload.upload.receive(CHUNK, source(), { length: CHUNK, signal }), 'superseded');
      await expectWhole(upload, bytes);
    });
  });

  describe('a piece that may be kept in part', () => {
    const bytes = freshBytes(700_000);

    it('is kept up to where its source broke off', async () => {
      const upload = await beginUpload(area(), bytes.byteLength, null);
      const source = failingAfter(bytes.subarray(0, 400_000), new Error('the line is dead'));
      const received = await upload.upload.receive(0, source, { keepPartial: true, limit: 700_000 });
      expect(received).toMatchObject({
        bytes: 400_000,
        sha256: sha256Hex(bytes.subarray(0, 400_000)),
        complete: false,
      });
      upload.note(0, received);
      await upload.restart();
      await upload.send(bytes, 400_000);
      expect(await upload.seal(bytes.byteLength)).toBe(sha256Hex(bytes));
      await upload.upload.discard();
    });

    it('is kept up to where it was called off', async () => {
      const upload = await beginUpload(area(), null, null);
      const controller = new AbortController();
      async function* source(): AsyncGenerator<Uint8Array> {
        yield bytes.subarray(0, 123_456);
        queueMicrotask(() => controller.abort());
        await new Promise<never>(() => {});
      }
      const { signal } = controller;
      const received = await upload.upload.receive(0, source(), { keepPartial: true, signal });
      expect(received).toMatchObject({ bytes: 123_456, complete: false });
      upload.note(0, received);
      await upload.send(bytes, 123_456);
      expect(await upload.seal(bytes.byteLength)).toBe(sha256Hex(bytes));
      await upload.upload.discard();
    });

    it('counts as whole when its source ends, and not when it ends before the announced length', async () => {
      const upload = await beginUpload(area(), bytes.byteLength, null);
      const begin = await upload.upload.receive(0, chunksOf(bytes.subarray(0, 1000)), { keepPartial: true });
      expect(begin).toMatchObject({ bytes: 1000, complete: true });
      upload.note(0, begin);
      const source = chunksOf(bytes.subarray(1000, 3000));
      const received = await upload.upload.receive(1000, source, { keepPartial: true, length: 5000 });
      expect(received).toMatchObject({ bytes: 2000, complete: false });
      upload.note(1000, received);
      await upload.send(bytes, 3000);
      expect(await upload.seal(bytes.byteLength)).toBe(sha256Hex(bytes));
      await upload.upload.discard();
    });

    it('takes no more than its limit', async () => {
      const upload = await beginUpload(area(), null, null);
      const source = chunksOf(bytes.subarray(0, 1001), 100);
      await refusal(upload.upload.receive(0, source, { keepPartial: true, limit: 1000 }), 'too_large');
      await upload.upload.discard();
    });
  });

  describe('a content', () => {
    it('is stored from a source of unknown digest, once', async () => {
      const bytes = freshBytes(600_000);
      const sha256 = sha256Hex(bytes);
      const outcome = { sha256, size: bytes.byteLength };
      expect(await area().store(chunksOf(bytes))).toEqual({ ...outcome, stored: true });
      const again = await area().store(chunksOf(bytes), {
        expectedSha256: sha256,
        expectedSize: bytes.byteLength,
      });
      expect(again).toEqual({ ...outcome, stored: false });
      expect((await bytesOf(area(), sha256)).equals(bytes)).toBe(true);
    });

    it('is refused when it is not what was announced', async () => {
      const bytes = freshBytes(70_000);
      const sha256 = sha256Hex(bytes);
      const failure = new Error('the line is dead');
      const store = (options: Parameters<ContentArea['store']>[1]): Promise<unknown> =>
        area().store(chunksOf(bytes), options);
      await refusal(store({ expectedSha256: '0'.repeat(64) }), 'checksum_mismatch');
      await refusal(store({ expectedSize: 69_999 }), 'incomplete_body');
      await refusal(store({ signal: AbortSignal.abort() }), 'cancelled');
      await expect(area().store(failingAfter(bytes, failure))).rejects.toBe(failure);
      expect(await area().stat(sha256)).toBeNull();
      await refusal(area().open(sha256), 'content_not_found');
    });

    it('is read by ranges', async () => {
      const bytes = freshBytes(900_001);
      const { sha256 } = await area().store(chunksOf(bytes));
      await using file = await area().open(sha256);
      expect(file.entry).toMatchObject({ name: sha256, size: bytes.byteLength, type: 'file' });
      expect(file.entry.validator).not.toBe('');
      for (const [start, end] of [
        [0, 1],
        [1000, 600_000],
        [900_000, 900_001],
        [5, 5],
      ] as const) {
        expect((await readAll(file, { start, end })).equals(bytes.subarray(start, end))).toBe(true);
      }
      await refusal(readAll(file, { start: 0, end: 900_002 }), 'range_not_satisfiable');
    });

    it('is removed once', async () => {
      const { sha256 } = await area().store(chunksOf(freshBytes(1000)));
      expect(await area().remove(sha256)).toBe(true);
      expect(await area().remove(sha256)).toBe(false);
      expect(await area().stat(sha256)).toBeNull();
      await refusal(area().open(sha256), 'content_not_found');
    });

    it.each(['', '..', '../volume.json', 'A'.repeat(64), '0'.repeat(63), `${'0'.repeat(64)}/x`])(
      'has no name like %j',
      async (name) => {
        await refusal(area().stat(name), 'validation_failed');
        await refusal(area().open(name), 'validation_failed');
        await refusal(area().remove(name), 'validation_failed');
      },
    );

    it('shows in no listing of the backend', async () => {
      await area().store(chunksOf(freshBytes(1000)));
      const upload = await beginUpload(area(), 10, 10);
      await upload.send(freshBytes(10));
      const names = (await bench.listAll(ROOT, { limit: 1000 })).map(({ name }) => name);
      expect(names.filter((name) => name.includes('holdfast'))).toEqual([]);
      await upload.upload.discard();
    });
  });

  describe('many contents', () => {
    it('are stored together, and a wrong one is refused alone', async () => {
      const contents = Array.from({ length: 40 }, (_, index) => {
        const bytes = freshBytes(index * 300);
        return { sha256: sha256Hex(bytes), bytes };
      });
      const [, present, , wrong, , twice] = contents;
      if (present === undefined || wrong === undefined || twice === undefined)
        throw new Error('There are forty.');
      await area().store(chunksOf(present.bytes));
      const wrongDigest = sha256Hex('something else');
      const sent = [...contents.with(3, { ...wrong, sha256: wrongDigest }), twice];
      const outcomes = await area().storeMany(sent);
      expect(outcomes).toHaveLength(41);
      const [refused] = outcomes.filter((outcome) => 'error' in outcome);
      expect(outcomes[3]).toBe(refused);
      requireRefusal(refused?.error, 'checksum_mismatch');
      expect(outcomes[1]).toEqual({ stored: false });
      expect(outcomes.filter((outcome) => 'error' in outcome)).toHaveLength(1);
      expect(await area().stat(wrongDigest)).toBeNull();
      for (const { sha256, bytes } of contents.toSpliced(3, 1)) {
        expect(await bytesOf(area(), sha256)).toEqual(bytes);
      }
      const again = await area().storeMany(contents.slice(6));
      expect(again).toEqual(contents.slice(6).map(() => ({ stored: false })));
    });

    it('are listed page by page in the order of their digests', async () => {
      const digests = new Set<string>();
      for (let index = 0; index < 7; index += 1) {
        digests.add((await area().store(chunksOf(freshBytes(100 + index)))).sha256);
      }
      const listed: string[] = [];
      let after: string | undefined;
      for (;;) {
        const page = await area().list({ limit: 3, ...(after === undefined ? {} : { after }) });
        expect(page.contents.length).toBeLessThanOrEqual(3);
        for (const { sha256, size, storedAt } of page.contents) {
          listed.push(sha256);
          if (digests.has(sha256)) expect(size).toBeGreaterThanOrEqual(100);
          expect(storedAt.getTime()).toBeGreaterThan(Date.UTC(2020));
        }
        after = page.next;
        if (after === undefined) break;
      }
      expect(listed).toEqual([...new Set(listed)].toSorted());
      expect(digests.isSubsetOf(new Set(listed))).toBe(true);
      const last = listed.at(-1) ?? '';
      expect(await area().list({ limit: 3, after: last })).toEqual({ contents: [] });
    });
  });
}
