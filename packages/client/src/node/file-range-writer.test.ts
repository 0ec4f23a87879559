import { open, readFile } from 'node:fs/promises';
import type { ByteRange } from '@holdfast/bytes/ranges';
import { makeTempDir } from '@holdfast/test-support/temp-dir';
import { RandomContent } from '@holdfast/test-support/random-file';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RangeWriter } from './file-range-writer.ts';

describe('RangeWriter', () => {
  it('puts every chunk where it belongs, and tells what was written in order', async () => {
    await using folder = await makeTempDir('writer');
    const content = new RandomContent('written', 3_000_000).bytes();
    const cuts = fc.array(fc.nat(content.byteLength), { maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(cuts, fc.nat(1000), async (places, position) => {
        const path = folder.join('file');
        await using handle = await open(path, 'w+');
        const written: ByteRange[] = [];
        const writer = new RangeWriter(handle, position, (range) => written.push(range));
        const ends = [...places.toSorted((a, b) => a - b), content.byteLength];
        for (const [index, end] of ends.entries()) {
          await writer.append(content.subarray(ends[index - 1] ?? 0, end));
        }
        await writer.finish();
        expect((await readFile(path)).subarray(position).equals(content)).toBe(true);
        expect(written[0]?.start).toBe(position);
        expect(written.at(-1)?.end).toBe(position + content.byteLength);
        for (const [index, { start }] of written.entries()) {
          if (index > 0) expect(start).toBe(written[index - 1]?.end);
        }
      }),
      { numRuns: 15 },
    );
  });

  it('fails when the disk refuses, and tells of nothing that is not there', async () => {
    await using full = await open('/dev/full', 'r+');
    const written: ByteRange[] = [];
    const writer = new RangeWriter(full, 0, (range) => written.push(range));
    await writer.append(Buffer.alloc(10));
    await expect(writer.finish()).rejects.toMatchObject({ code: 'ENOSPC' });
    expect(written).toEqual([]);
  });
});
