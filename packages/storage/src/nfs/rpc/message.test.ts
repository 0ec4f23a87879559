import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GarbledReply } from '../xdr/garbled.ts';
import { XdrReader } from '../xdr/reader.ts';
import { XdrWriter } from '../xdr/writer.ts';
import { parseReply, renderCall, xidOf } from './message.ts';

const credential = { machine: 'rack-7', uid: 1000, gid: 100, groups: [100, 27] };

describe('an RPC call', () => {
  it('is one record with an AUTH_SYS credential', () => {
    const call = Buffer.concat(
      renderCall(0x1234, credential, { program: 100003, version: 4, procedure: 1, write: (w) => w.u32(7) }),
    );
    expect(call.readUInt32BE()).toBe(0x8000_0000 + call.byteLength - 4);
    const reader = new XdrReader(call.subarray(4));
    expect([1, 2, 3, 4, 5, 6].map(() => reader.u32())).toEqual([0x1234, 0, 2, 100003, 4, 1]);
    expect(reader.u32()).toBe(1);
    const body = new XdrReader(reader.opaque(400));
    body.u32();
    expect(body.opaque(255).toString()).toBe('rack-7');
    expect([body.u32(), body.u32()]).toEqual([1000, 100]);
    expect(body.list(16, () => body.u32())).toEqual([100, 27]);
    body.end();
    expect([reader.u32(), reader.u32(), reader.u32()]).toEqual([0, 0, 7]);
    reader.end();
  });

  it('keeps to the limits of AUTH_SYS', () => {
    const many = {
      machine: 'm'.repeat(300),
      uid: 0,
      gid: 0,
      groups: Array.from({ length: 40 }, (_, at) => at),
    };
    const call = Buffer.concat(renderCall(1, many, { program: 1, version: 1, procedure: 0 }));
    const body = new XdrReader(new XdrReader(call.subarray(4 + 28)).opaque(400));
    body.u32();
    expect(body.opaque(255).byteLength).toBe(255);
    body.u32();
    body.u32();
    expect(body.list(16, () => body.u32())).toHaveLength(16);
  });
});

describe('an RPC reply', () => {
  const accepted = (status: number): XdrWriter =>
    new XdrWriter().u32(9).u32(1).u32(0).u32(0).u32(0).u32(status);

  it('is told apart', () => {
    expect(xidOf(accepted(0).bytes())).toBe(9);
    const success = parseReply(accepted(0).u32(42).bytes());
    expect(success.kind === 'success' && success.results.u32()).toBe(42);
    expect(parseReply(accepted(1).bytes())).toEqual({ kind: 'programMissing' });
    expect(parseReply(accepted(2).u32(3).u32(3).bytes())).toEqual({
      kind: 'versionMismatch',
      lowest: 3,
      highest: 3,
    });
    expect(parseReply(accepted(3).bytes())).toEqual({ kind: 'procedureMissing' });
    expect(parseReply(accepted(4).bytes())).toEqual({ kind: 'garbledArguments' });
    expect(parseReply(accepted(5).bytes())).toEqual({ kind: 'serverFault' });
    expect(parseReply(new XdrWriter().u32(9).u32(1).u32(1).u32(1).u32(5).bytes())).toEqual({
      kind: 'denied',
      authStatus: 5,
    });
  });

  it('is never more than garbled, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 4, maxLength: 100 }), (bytes) => {
        try {
          expect(parseReply(Buffer.from(bytes)).kind).toBeTypeOf('string');
        } catch (error) {
          expect(error).toBeInstanceOf(GarbledReply);
        }
      }),
    );
  });
});
