import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GarbledReply } from '../xdr/garbled.ts';
import { XdrReader } from '../xdr/reader.ts';
import { XdrWriter } from '../xdr/writer.ts';
import {
  readAttributes,
  readHandle,
  readOptionalAttributes,
  readOptionalHandle,
  skipChanges,
  writeMode,
} from './structures.ts';

const attributes = new XdrWriter()
  .u32(1)
  .u32(0o644)
  .u32(1)
  .u32(0)
  .u32(0)
  .u64(1234)
  .u64(4096)
  .u64(0)
  .u64(9)
  .u64(42)
  .u32(1)
  .u32(0)
  .u32(1_700_000_000)
  .u32(5)
  .u32(1_700_000_001)
  .u32(6)
  .bytes();

describe('the structures of NFSv3', () => {
  it('are read as RFC 1813 has them; the ctime stands in for the change attribute', () => {
    const reader = new XdrReader(attributes);
    expect(readAttributes(reader)).toEqual({
      type: 'file',
      size: 1234,
      fileId: 42n,
      fileSystemId: '9',
      mtimeNs: 1_700_000_000_000_000_005n,
      change: 1_700_000_001_000_000_006n,
    });
    reader.end();
  });

  it('write a mode alone, or with both times set to the clock of the server', () => {
    const words = (alsoTimes: boolean): number[] => {
      const writer = new XdrWriter();
      writeMode(writer, 0o644, alsoTimes);
      const reader = new XdrReader(writer.bytes());
      return Array.from({ length: 7 }, () => reader.u32());
    };
    expect(words(false)).toEqual([1, 0o644, 0, 0, 0, 0, 0]);
    expect(words(true)).toEqual([1, 0o644, 0, 0, 0, 1, 1]);
  });

  it('of any bytes are never more than garbled', () => {
    const readers = [readAttributes, readOptionalAttributes, readHandle, readOptionalHandle, skipChanges];
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), fc.nat(4), (bytes, index) => {
        try {
          readers[index]?.(new XdrReader(Buffer.from(bytes)));
        } catch (error) {
          expect(error).toBeInstanceOf(GarbledReply);
        }
      }),
      { numRuns: 1000 },
    );
  });
});
