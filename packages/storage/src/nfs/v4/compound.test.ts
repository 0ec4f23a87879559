import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { writeBitmap, readBitmap } from '../xdr/bitmap.ts';
import { GarbledReply } from '../xdr/garbled.ts';
import { XdrReader } from '../xdr/reader.ts';
import { XdrWriter } from '../xdr/writer.ts';
import { readNodeAttributes } from './attributes.ts';
import { readCompound, writeCompound } from './compound.ts';
import type { Operation } from './operation.ts';
import {
  commit,
  getAttributes,
  getHandle,
  getServerAttributes,
  getSpace,
  lookup,
  open,
  putHandle,
  read,
  readFolder,
  readLink,
  rename,
  write,
} from './operations.ts';
import { createSession, exchangeId, sequence } from './session-operations.ts';

const stateid = Buffer.alloc(16, 1);
const sessionId = Buffer.alloc(16, 2);
const sequenceArguments = { sessionId, sequenceId: 7, slotId: 3, highestSlotId: 3, keepReply: false };
const limits = {
  maxRequestBytes: 9000,
  maxResponseBytes: 9000,
  maxCachedBytes: 0,
  maxOperations: 16,
  maxRequests: 4,
};

/** Every operation that has more than a status to read. */
function all(): Operation<unknown>[] {
  const claim = { kind: 'handle' } as const;
  return [
    sequence(sequenceArguments),
    putHandle(Buffer.from('handle')),
    getHandle(),
    lookup('name'),
    getAttributes(),
    getServerAttributes(),
    getSpace(),
    open({ clientId: 1n, owner: Buffer.from('owner'), access: 1, claim }),
    read(stateid, 0, 100),
    write(stateid, 0, Buffer.alloc(10)),
    commit(),
    readFolder(0n, Buffer.alloc(8), 1000),
    readLink(),
    rename('a', 'b'),
    exchangeId({ verifier: Buffer.alloc(8), name: 'x' }),
    createSession(1n, 1, limits),
  ];
}

/** The answer of a server to SEQUENCE, LOOKUP, GETFH. */
function answer(): XdrWriter {
  const writer = new XdrWriter().u32(0).opaque('').u32(3);
  writer.u32(53).u32(0).fixed(sessionId).u32(7).u32(3).u32(15).u32(15).u32(0);
  return writer.u32(15).u32(0).u32(10).u32(0).opaque('handle of name');
}

describe('a compound', () => {
  it('is written as one list of operations of minor version 1', () => {
    const writer = new XdrWriter();
    writeCompound(writer, [putHandle(Buffer.from('fh')), lookup('name')]);
    expect(writer.bytes().toString('hex')).toBe(
      '00000000' +
        '00000001' +
        '00000002' +
        '00000016' +
        '0000000266680000' +
        '0000000f' +
        '000000046e616d65',
    );
  });

  it('is read into its operations', () => {
    const [first, second, third] = [sequence(sequenceArguments), lookup('name'), getHandle()];
    expect(readCompound(new XdrReader(answer().bytes()), [first, second, third])).toEqual({
      status: 0,
      done: 3,
    });
    expect(third.value.toString()).toBe('handle of name');
  });

  it('tells where it ended', () => {
    const reply = new XdrWriter().u32(2).opaque('').u32(2).u32(22).u32(0).u32(15).u32(2).bytes();
    const operations = [putHandle(Buffer.alloc(4)), lookup('name'), getHandle()];
    expect(readCompound(new XdrReader(reply), operations)).toEqual({ status: 2, done: 1 });
    expect(operations.map((operation) => operation.isDone)).toEqual([true, false, false]);
    expect(() => operations[2]?.value).toThrow('GETFH');
  });

  it('with any one byte changed is garbled, or differs in nothing but the values of its operations', () => {
    const good = answer().bytes();
    for (let at = 0; at < good.byteLength; at += 1) {
      const changed = Buffer.from(good);
      changed[at] = (changed[at] ?? 0) ^ 0xff;
      const operations = [sequence(sequenceArguments), lookup('name'), getHandle()];
      try {
        expect(readCompound(new XdrReader(changed), operations)).toEqual({ status: 0, done: 3 });
      } catch (error) {
        expect(error).toBeInstanceOf(GarbledReply);
      }
    }
  });

  it('of any bytes is never more than garbled', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(15), (bytes, index) => {
        const operation = all()[index];
        if (operation === undefined) return;
        const head = new XdrWriter().u32(0).opaque('').u32(1).u32(operation.code).u32(0).bytes();
        for (const message of [Buffer.concat([head, bytes]), Buffer.from(bytes)]) {
          try {
            readCompound(new XdrReader(message), [operation]);
          } catch (error) {
            expect(error).toBeInstanceOf(GarbledReply);
          }
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe('operations', () => {
  it.each([
    ['more bytes than were asked for', read(stateid, 0, 3), new XdrWriter().bool(true).opaque('four')],
    ['no bytes and no end', read(stateid, 0, 3), new XdrWriter().bool(false).opaque('')],
    [
      'more written than was sent',
      write(stateid, 0, Buffer.alloc(4)),
      new XdrWriter().u32(5).u32(0).fixed(Buffer.alloc(8)),
    ],
    [
      'nothing written',
      write(stateid, 0, Buffer.alloc(4)),
      new XdrWriter().u32(0).u32(0).fixed(Buffer.alloc(8)),
    ],
    [
      'another slot',
      sequence(sequenceArguments),
      new XdrWriter().fixed(sessionId).u32(7).u32(4).u32(9).u32(9).u32(0),
    ],
    [
      'another session',
      sequence(sequenceArguments),
      new XdrWriter().fixed(stateid).u32(7).u32(3).u32(9).u32(9).u32(0),
    ],
  ])('take %s for garbled', (_what, operation, body) => {
    expect(() => operation.read(new XdrReader(body.bytes()))).toThrow(GarbledReply);
  });
});

describe('attributes', () => {
  it('come in the order of their numbers, and all that are needed', () => {
    const values = new XdrWriter()
      .u32(1)
      .u64(77n)
      .u64(1234)
      .u64(1)
      .u64(2)
      .u64(42n)
      .i64(1_700_000_000n)
      .u32(5)
      .bytes();
    const writer = new XdrWriter();
    writeBitmap(writer, [1, 3, 4, 8, 20, 53]);
    expect(readNodeAttributes(new XdrReader(writer.opaque(values).bytes()))).toEqual({
      type: 'file',
      change: 77n,
      size: 1234,
      fileSystemId: '1.2',
      fileId: 42n,
      mtimeNs: 1_700_000_000_000_000_005n,
    });
    const partly = new XdrWriter();
    writeBitmap(partly, [4]);
    partly.opaque(new XdrWriter().u64(1).bytes());
    expect(() => readNodeAttributes(new XdrReader(partly.bytes()))).toThrow(GarbledReply);
  });

  it('that nobody asked for are garbled', () => {
    const writer = new XdrWriter();
    writeBitmap(writer, [33]);
    writer.opaque(new XdrWriter().u32(0o644).bytes());
    expect(() => readNodeAttributes(new XdrReader(writer.bytes()))).toThrow(GarbledReply);
  });

  it('are numbered in a bitmap that is read as it was written', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(200), { maxLength: 40 }), (bits) => {
        const writer = new XdrWriter();
        writeBitmap(writer, bits);
        expect(readBitmap(new XdrReader(writer.bytes()))).toEqual(bits.toSorted((a, b) => a - b));
      }),
    );
  });
});
