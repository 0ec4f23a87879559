import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GarbledReply } from '../xdr/garbled.ts';
import { RecordAssembler } from './record-assembler.ts';
import type { AssemblerOptions } from './record-assembler.ts';

const maxRecordBytes = 300_000;

/** A record as it goes over the wire, cut into fragments of the given sizes. */
function frame(record: Uint8Array, fragmentBytes: number): Buffer {
  const pieces: Buffer[] = [];
  for (let at = 0; at < record.byteLength; at += fragmentBytes) {
    const fragment = record.subarray(at, at + fragmentBytes);
    const mark = Buffer.alloc(4);
    const isLast = at + fragmentBytes >= record.byteLength;
    mark.writeUInt32BE((isLast ? 0x8000_0000 : 0) + fragment.byteLength);
    pieces.push(mark, Buffer.from(fragment));
  }
  return Buffer.concat(pieces);
}

/** Feeds a stream in pieces of the given sizes, in turn. */
function feed(stream: Buffer, pieces: readonly number[], options: Partial<AssemblerOptions> = {}): Buffer[] {
  const records: Buffer[] = [];
  const assembler = new RecordAssembler({
    maxRecordBytes,
    onRecord: (record) => records.push(record),
    ...options,
  });
  for (let at = 0, turn = 0; at < stream.byteLength; turn += 1) {
    const target = assembler.target();
    const length = Math.min(target.byteLength, pieces[turn % pieces.length] ?? 1, stream.byteLength - at);
    stream.copy(target, 0, at, at + length);
    assembler.advance(length);
    at += length;
  }
  return records;
}

const record = fc.oneof(
  fc.uint8Array({ minLength: 4, maxLength: 300 }),
  fc.integer({ min: 60_000, max: 200_000 }).map((size) => Buffer.alloc(size, size % 251)),
);
const pieces = fc.array(fc.integer({ min: 1, max: 100_000 }), { minLength: 1, maxLength: 10 });

describe('RecordAssembler', () => {
  it('puts records together from pieces of any size', () => {
    fc.assert(
      fc.property(
        fc.array(record, { maxLength: 6 }),
        fc.integer({ min: 1, max: 1 << 20 }),
        pieces,
        (records, cut, sizes) => {
          const fragmentBytes = Math.max(
            cut,
            Math.ceil(Math.max(4, ...records.map((one) => one.byteLength)) / 60),
          );
          const stream = Buffer.concat(records.map((one) => frame(one, fragmentBytes)));
          const got = feed(stream, sizes);
          expect(got.length).toBe(records.length);
          for (const [index, one] of records.entries()) expect(got[index]?.equals(one)).toBe(true);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('reads a large record straight into the buffer that its xid asks for', () => {
    const own = Buffer.alloc(200_000);
    const sent = Buffer.alloc(150_000, 7);
    sent.writeUInt32BE(0xfeed);
    const [got] = feed(frame(sent, 1 << 20), [5000], {
      bufferFor: (xid) => (xid === 0xfeed ? own : undefined),
    });
    expect(got?.buffer).toBe(own.buffer);
    expect(got?.equals(sent)).toBe(true);
  });

  it('does without that buffer when it is too small', () => {
    const sent = Buffer.alloc(150_000, 7);
    const [got] = feed(frame(sent, 1 << 20), [5000], { bufferFor: () => Buffer.alloc(10) });
    expect(got?.equals(sent)).toBe(true);
  });

  it('throws GarbledReply, and nothing else, for any bytes, and keeps to the limit', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), pieces, (stream, sizes) => {
        try {
          for (const got of feed(Buffer.from(stream), sizes))
            expect(got.byteLength).toBeLessThanOrEqual(maxRecordBytes);
        } catch (error) {
          expect(error).toBeInstanceOf(GarbledReply);
        }
      }),
    );
  });

  it('refuses a record that is too long before anything is reserved for it, and one without an xid', () => {
    expect(() => feed(Buffer.from('ffffffff00000000', 'hex'), [8])).toThrow(GarbledReply);
    expect(() => feed(Buffer.from('80000000', 'hex'), [4])).toThrow(GarbledReply);
    expect(() => feed(Buffer.from('00000000'.repeat(100), 'hex'), [400])).toThrow(GarbledReply);
  });
});
