import { isHoldfastError } from '@holdfast/contract/errors';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { targetPdu } from '../testing/target-pdus.ts';
import {
  abortTask,
  dataOut,
  decodeTargetPdu,
  loginRequest,
  logoutRequest,
  nopOut,
  scsiCommand,
  textRequest,
} from './pdu.ts';

const word = fc.integer({ min: 0, max: 0xffff_ffff });
const sequence = { cmdSn: 0x0102_0304, expStatSn: 0x0506_0708 };
const lun = Buffer.from('0001000000000000', 'hex');

describe('a request', () => {
  // The layouts of RFC 7143 §11, field by field.
  it('to log in', () => {
    const { header, data } = loginRequest({
      transit: true,
      currentStage: 1,
      nextStage: 3,
      isid: Buffer.from('800102030405', 'hex'),
      tag: 9,
      sequence,
      data: Buffer.from('a=b\0'),
    });
    expect(header.toString('hex')).toBe(
      `4387000000000004800102030405000000000009000000000102030405060708${'00'.repeat(16)}`,
    );
    expect(data).toEqual(Buffer.from('a=b\0'));
  });

  it('to carry a command out', () => {
    const cdb = Buffer.alloc(16, 0xcc);
    const fields = { lun, tag: 7, final: true, expectedLength: 4096, cdb, sequence };
    const { header } = scsiCommand({ ...fields, direction: 'read' });
    expect(header.toString('hex')).toBe(
      `01c1000000000000000100000000000000000007000010000102030405060708${'cc'.repeat(16)}`,
    );
    expect(scsiCommand({ ...fields, direction: 'write', final: false }).header[1]).toBe(0x21);
    expect(scsiCommand({ ...fields, direction: 'none' }).header[1]).toBe(0x81);
  });

  it('with data', () => {
    const { header } = dataOut({
      lun,
      tag: 7,
      targetTag: 8,
      final: true,
      expStatSn: 5,
      dataSn: 3,
      bufferOffset: 0x2000,
      data: Buffer.alloc(0x1234),
    });
    expect(header.toString('hex')).toBe(
      `0580000000001234000100000000000000000007000000080000000000000005${'00'.repeat(4)}000000030000200000000000`,
    );
  });

  it('of other kinds has its opcode, and counts as immediate where it is no command', () => {
    const text = textRequest({ tag: 1, targetTag: 2, sequence, data: Buffer.alloc(0) });
    const nop = nopOut({ tag: 1, targetTag: 2, sequence });
    const abort = abortTask({
      lun,
      tag: 1,
      referencedTag: 0xaabb_ccdd,
      referencedCmdSn: 0x1122_3344,
      sequence,
    });
    const opcodes = [text, nop, abort, logoutRequest({ tag: 1, sequence })].map(({ header }) => header[0]);
    expect(opcodes).toEqual([0x04, 0x40, 0x42, 0x46]);
    expect(abort.header.toString('hex', 20, 24)).toBe('aabbccdd');
    expect(abort.header.toString('hex', 32, 36)).toBe('11223344');
  });
});

describe('a message of the target', () => {
  it('is read with all its numbers', () => {
    fc.assert(
      fc.property(word, word, word, word, word, word, (tag, statSn, expCmdSn, maxCmdSn, one, other) => {
        const numbers = { tag, statSn, expCmdSn, maxCmdSn };
        const read = (fields: Parameters<typeof targetPdu>[0]): unknown =>
          decodeTargetPdu(targetPdu({ ...fields, ...numbers }), Buffer.alloc(0));
        expect(read({ opcode: 0x31, words: { 20: one, 36: 1, 40: other, 44: 99 } })).toMatchObject({
          type: 'r2t',
          ...numbers,
          targetTag: one,
          r2tSn: 1,
          bufferOffset: other,
          desiredLength: 99,
        });
        expect(
          read({ opcode: 0x25, flags: 0x83, bytes: { 3: 8 }, words: { 36: one, 40: other, 44: 7 } }),
        ).toMatchObject({
          type: 'data-in',
          ...numbers,
          final: true,
          status: 8,
          residual: 7,
          dataSn: one,
          bufferOffset: other,
        });
        expect(read({ opcode: 0x25, words: { 44: 7 } })).toMatchObject({
          status: undefined,
          residual: 0,
          final: false,
        });
        expect(read({ opcode: 0x21, flags: 0x84, bytes: { 2: 1, 3: 2 } })).toMatchObject({
          type: 'scsi-response',
          response: 1,
          status: 2,
          isOverflow: true,
        });
      }),
    );
  });

  it('is either read or refused, whatever its bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 48, maxLength: 48 }), (bytes) => {
        try {
          expect(decodeTargetPdu(Buffer.from(bytes), Buffer.alloc(0)).type).toMatch(/^[a-z0-9-]+$/);
        } catch (error) {
          expect(isHoldfastError(error, 'backend_unavailable')).toBe(true);
        }
      }),
    );
  });
});
