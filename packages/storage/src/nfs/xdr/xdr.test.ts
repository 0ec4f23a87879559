import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GarbledReply } from './garbled.ts';
import { XdrReader } from './reader.ts';
import { XdrWriter } from './writer.ts';

type Value =
  | { kind: 'u32'; value: number }
  | { kind: 'u64'; value: bigint }
  | { kind: 'i64'; value: bigint }
  | { kind: 'bool'; value: boolean }
  | { kind: 'fixed' | 'opaque' | 'bulk'; value: Uint8Array };

const bytes = fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ maxLength: 3000, size: 'max' }));
const value: fc.Arbitrary<Value> = fc.oneof(
  fc.record({ kind: fc.constant('u32' as const), value: fc.nat(0xffff_ffff) }),
  fc.record({ kind: fc.constant('u64' as const), value: fc.bigInt(0n, 2n ** 64n - 1n) }),
  fc.record({ kind: fc.constant('i64' as const), value: fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n) }),
  fc.record({ kind: fc.constant('bool' as const), value: fc.boolean() }),
  fc.record({ kind: fc.constantFrom('fixed' as const, 'opaque' as const, 'bulk' as const), value: bytes }),
);

function write(writer: XdrWriter, item: Value): void {
  if (item.kind === 'u32') writer.u32(item.value);
  else if (item.kind === 'bool') writer.bool(item.value);
  else if (item.kind === 'u64') writer.u64(item.value);
  else if (item.kind === 'i64') writer.i64(item.value);
  else writer[item.kind](item.value);
}

function read(reader: XdrReader, item: Value): unknown {
  if (item.kind === 'fixed') return reader.fixed(item.value.byteLength);
  if (item.kind === 'opaque' || item.kind === 'bulk') return reader.opaque(item.value.byteLength);
  return reader[item.kind]();
}

describe('XDR', () => {
  it('gives back whatever was written, in steps of four bytes', () => {
    fc.assert(
      fc.property(fc.array(value, { maxLength: 200, size: 'max' }), (items) => {
        const writer = new XdrWriter();
        for (const item of items) write(writer, item);
        const message = writer.bytes();
        expect(message.byteLength % 4).toBe(0);
        const reader = new XdrReader(message);
        for (const item of items) {
          const got = read(reader, item);
          if (item.value instanceof Uint8Array)
            expect(Buffer.from(item.value).equals(Buffer.from(got as Buffer))).toBe(true);
          else expect(got).toBe(item.value);
        }
        reader.end();
      }),
    );
  });

  it('writes as RFC 4506 has it', () => {
    const writer = new XdrWriter().u32(1).bool(true).opaque('abcde').i64(-1n).u64(2);
    expect(writer.bytes().toString('hex')).toBe(
      '0000000100000001000000056162636465000000ffffffffffffffff0000000000000002',
    );
  });

  it('does not copy what is given as bulk', () => {
    const payload = Buffer.alloc(5000);
    expect(new XdrWriter().u32(1).bulk(payload).segments()).toContain(payload);
  });

  it('throws GarbledReply, and nothing else, for any bytes', () => {
    const step = fc.constantFrom(
      'u32',
      'u64',
      'i64',
      'size',
      'amount',
      'bool',
      'fixed',
      'opaque',
      'list',
      'end',
    );
    fc.assert(
      fc.property(bytes, fc.array(step, { minLength: 1, maxLength: 30 }), (message, steps) => {
        const reader = new XdrReader(Buffer.from(message));
        try {
          for (const name of steps) {
            if (name === 'fixed' || name === 'opaque') reader[name](16);
            else if (name === 'list') reader.list(8, () => reader.u32());
            else if (name !== undefined) reader[name as 'u32']();
          }
        } catch (error) {
          expect(error).toBeInstanceOf(GarbledReply);
        }
        expect(reader.left).toBeGreaterThanOrEqual(0);
      }),
    );
  });

  it.each([
    ['a boolean that is neither', '00000002', (reader: XdrReader) => reader.bool()],
    ['padding that is not zero', '0000000161000001', (reader: XdrReader) => reader.opaque(4)],
    ['a length over the limit', '0000000561626364650000', (reader: XdrReader) => reader.opaque(4)],
    ['a length that is not there', 'ffffffff', (reader: XdrReader) => reader.opaque(0xffff_ffff)],
    ['a count over the limit', '00000009', (reader: XdrReader) => reader.list(8, () => 0)],
    ['a size beyond every file', '0020000000000000', (reader: XdrReader) => reader.size()],
    ['bytes at the end', '00', (reader: XdrReader) => reader.end()],
  ])('refuses %s', (_what, hex, act) => {
    expect(() => act(new XdrReader(Buffer.from(hex, 'hex')))).toThrow(GarbledReply);
  });
});
