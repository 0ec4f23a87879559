import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isHoldfastError } from '@holdfast/contract/errors';
import { decodeBatch, encodeBatchHeader, type BatchFrame, type BatchLimits } from './batch-framing.ts';

const limits: BatchLimits = { files: 10, headerBytes: 1000, fileBytes: 500, totalBytes: 20_000 };

async function* inChunks(bytes: Buffer, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  let at = 0;
  for (let turn = 0; at < bytes.length; turn += 1) {
    const size = sizes[turn % sizes.length] ?? 1;
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

function encode(files: readonly { name: string; bytes: Uint8Array }[]): Buffer {
  return Buffer.concat(
    files.flatMap(({ name, bytes }) => [encodeBatchHeader({ name, size: bytes.byteLength }), bytes]),
  );
}

async function decode(bytes: Buffer, sizes: readonly number[] = [7]): Promise<BatchFrame[]> {
  return Array.fromAsync(decodeBatch(inChunks(bytes, sizes), limits));
}

const file = fc.record({
  name: fc.string({ unit: 'grapheme', maxLength: 20 }),
  bytes: fc.uint8Array({ maxLength: 500 }),
});
const files = fc.array(file, { maxLength: 10 });

describe('a batch', () => {
  test('comes out as it went in, however the stream is cut', async () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(files, sizes, async (given, chunks) => {
        const frames = await decode(encode(given), chunks);
        expect(frames.map(({ index, header, bytes }) => ({ index, header, bytes: [...bytes] }))).toEqual(
          given.map(({ name, bytes }, index) => ({
            index,
            header: { name, size: bytes.length },
            bytes: [...bytes],
          })),
        );
      }),
    );
  });

  test('that is cut anywhere but between two files is refused, naming the file', async () => {
    await fc.assert(
      fc.asyncProperty(files, fc.nat(), async (given, cut) => {
        const bytes = encode(given);
        const ends = given.map((_, index) => encode(given.slice(0, index + 1)).length);
        const at = bytes.length === 0 ? 0 : cut % bytes.length;
        fc.pre(at > 0 && !ends.includes(at));
        const error: unknown = await decode(bytes.subarray(0, at)).catch((problem: unknown) => problem);
        expect(isHoldfastError(error, 'incomplete_body')).toBe(true);
        if (isHoldfastError(error))
          expect(error.errors?.[0]?.field).toBe(`files.${ends.filter((end) => end < at).length}`);
      }),
    );
  });

  test.each<[string, Buffer, string]>([
    ['a header that is no JSON', Buffer.from([0, 0, 0, 2, 0x7b, 0x7b]), 'invalid_request'],
    [
      'a header that is a list',
      Buffer.concat([Buffer.from([0, 0, 0, 2]), Buffer.from('[]')]),
      'invalid_request',
    ],
    ['a header without a size', encodeBatchHeader({ name: 'a' }), 'invalid_request'],
    ['a fraction of a byte', encodeBatchHeader({ size: 1.5 }), 'invalid_request'],
    ['a file beyond the limit', encodeBatchHeader({ size: 501 }), 'too_large'],
    ['a header beyond the limit', Buffer.from([0xff, 0xff, 0xff, 0xff]), 'too_large'],
    [
      'too many files',
      encode(Array.from({ length: 11 }, () => ({ name: 'a', bytes: new Uint8Array() }))),
      'too_large',
    ],
    [
      'too many bytes',
      encode(Array.from({ length: 10 }, () => ({ name: 'a'.repeat(2000), bytes: new Uint8Array(500) }))),
      'too_large',
    ],
  ])('with %s is refused', async (_what, bytes, code) => {
    await expect(decode(bytes)).rejects.toMatchObject({ code });
  });
});
