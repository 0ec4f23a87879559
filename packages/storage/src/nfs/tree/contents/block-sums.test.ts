import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sampleBytes } from '../../../conformance/sample-bytes.ts';
import { blockOf, BlockSums, isBlock } from './block-sums.ts';

const blocks = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 });
const piece = fc.record({ position: fc.integer({ min: 0, max: 60 }), blocks });

describe('BlockSums', () => {
  it('knows the blocks of the last piece that wrote them, and none that was written over in part', () => {
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const sums = new BlockSums();
        const content = Buffer.alloc(200);
        for (const [seed, { position, blocks: lengths }] of pieces.entries()) {
          const size = lengths.reduce((sum, length) => sum + length, 0);
          sampleBytes(size, seed + 1).copy(content, position);
          let start = position;
          const noted = lengths.map((length) => blockOf(content.subarray(start, (start += length))));
          sums.note(position, noted);
        }
        for (let at = 0; at < content.byteLength; at += 1) {
          const block = sums.at(at);
          if (block !== undefined) expect(isBlock(block, content.subarray(at, at + block.length))).toBe(true);
        }
        const last = pieces.at(-1);
        if (last !== undefined) expect(sums.at(last.position)?.length).toBe(last.blocks[0]);
      }),
    );
  });

  it('tells a changed byte and a missing one', () => {
    const bytes = sampleBytes(1000, 9);
    const block = blockOf(bytes);
    const changed = Buffer.from(bytes);
    changed[500] = 1 ^ (changed[500] ?? 0);
    expect(isBlock(block, bytes)).toBe(true);
    expect(isBlock(block, changed)).toBe(false);
    expect(isBlock(block, bytes.subarray(1))).toBe(false);
  });

  it('forgets what lies between two positions', () => {
    const sums = new BlockSums();
    sums.note(0, [blockOf(sampleBytes(10))]);
    sums.note(10, [blockOf(sampleBytes(10)), blockOf(sampleBytes(10))]);
    sums.forget(25, 26);
    expect([sums.at(0)?.length, sums.at(10), sums.at(20)]).toEqual([10, undefined, undefined]);
  });
});
