import { isHoldfastError } from '@holdfast/contract/errors';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  blockLimitsPage,
  deviceIdentificationPage,
  parseBlockLimits,
  parseCapacity,
  parseDeviceIdentification,
  parseInquiry,
  parseLunList,
  parseWriteProtection,
  readBlocks,
  writeBlocks,
} from './block-commands.ts';
import { parseKeys, parseReservation, reserveOut } from './persistent-reservation.ts';
import { decodeLun, encodeLun } from './scsi-command.ts';
import { isUnsupported, parseSense, remedyFor, scsiFailure, scsiStatus } from './sense.ts';

function fixedSense(key: number, code: number): Buffer {
  const sense = Buffer.alloc(18);
  sense.set([0x70, 0, key]);
  sense.writeUInt16BE(code, 12);
  return sense;
}

describe('what a target answers', () => {
  const parsers = {
    inquiry: parseInquiry,
    identification: parseDeviceIdentification,
    limits: parseBlockLimits,
    capacity: parseCapacity,
    protection: parseWriteProtection,
    luns: parseLunList,
    keys: parseKeys,
    reservation: parseReservation,
  };

  it.each(Object.keys(parsers))('is either read or refused as %s, whatever its bytes', (name) => {
    const parser = Object.entries(parsers).find(([key]) => key === name)?.[1];
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          parser?.(Buffer.from(bytes));
        } catch (error) {
          expect(isHoldfastError(error, 'backend_unavailable')).toBe(true);
        }
      }),
    );
  });

  it('about its size is believed only where it can be', () => {
    const capacity = (last: bigint, block: number): Buffer => {
      const data = Buffer.alloc(32);
      data.writeBigUInt64BE(last);
      data.writeUInt32BE(block, 8);
      return data;
    };
    expect(parseCapacity(capacity(999n, 4096))).toEqual({ blockCount: 1000, blockBytes: 4096 });
    for (const [last, block] of [
      [0xffff_ffff_ffff_ffffn, 512],
      [9n, 0],
      [9n, 513],
      [9n, 256],
      [2n ** 52n, 4096],
    ] as const) {
      expect(() => parseCapacity(capacity(last, block))).toThrow('a capacity of');
    }
  });

  it('about its identity is one text for the unit, without its ports', () => {
    const unit = [0x01, 0x03, 0, 2, 0xaa, 0xbb];
    const port = [0x51, 0x94, 0, 2, 0x00, 0x01];
    const page = Buffer.from([0, deviceIdentificationPage, 0, unit.length + port.length, ...unit, ...port]);
    expect(parseDeviceIdentification(page)).toBe('3:aabb');
    expect(() =>
      parseDeviceIdentification(Buffer.from([0, deviceIdentificationPage, 0, 5, 1, 3, 0, 9, 0])),
    ).toThrow('wrong length');
    expect(() => parseBlockLimits(page)).toThrow('another page');
    expect(parseBlockLimits(Buffer.from([0, blockLimitsPage, 0, 8, 0, 0, 0, 0, 0, 0, 0x08, 0]))).toBe(2048);
  });

  it('about reservations is read', () => {
    const data = Buffer.alloc(24);
    data.writeUInt32BE(16, 4);
    data.write('0102030405060708', 8, 'hex');
    data[21] = 0x05;
    expect(parseReservation(data)).toEqual({ key: Buffer.from('0102030405060708', 'hex'), type: 5 });
    expect(parseReservation(Buffer.alloc(8))).toBeUndefined();
    const keys = Buffer.concat([Buffer.from([0, 0, 0, 1, 0, 0, 0, 16]), Buffer.alloc(16, 9)]);
    expect(parseKeys(keys)).toEqual([Buffer.alloc(8, 9), Buffer.alloc(8, 9)]);
  });
});

describe('commands', () => {
  it('to read and write name their blocks', () => {
    expect(readBlocks(0x1_0000_0001, 8, 512)).toMatchObject({ dataInBytes: 4096 });
    expect(Buffer.from(readBlocks(0x1_0000_0001, 8, 512).cdb).toString('hex')).toBe(
      '88000000000100000001000000080000',
    );
    expect(Buffer.from(writeBlocks(2, Buffer.alloc(8192), 4096).cdb).toString('hex')).toBe(
      '8a000000000000000002000000020000',
    );
  });

  it('to reserve carry key, scope and type', () => {
    const { cdb, dataOut } = reserveOut('preempt', {
      key: Buffer.alloc(8, 1),
      serviceKey: Buffer.alloc(8, 2),
    });
    expect(Buffer.from(cdb).toString('hex')).toBe('5f040500000000001800000000000000');
    expect(Buffer.from(dataOut ?? []).toString('hex', 0, 16)).toBe('01'.repeat(8) + '02'.repeat(8));
  });

  it('address every LUN that there can be, and no other', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 16_383 }), (lun) => {
        expect(decodeLun(encodeLun(lun))).toBe(lun);
      }),
    );
    for (const lun of [-1, 16_384, 0.5, Number.NaN]) expect(() => encodeLun(lun)).toThrow('from 0 to 16383');
    expect(decodeLun(Buffer.from('c101000000000000', 'hex'))).toBeUndefined();
  });
});

describe('sense data', () => {
  it('of both formats is read, and anything else is none', () => {
    expect(parseSense(fixedSense(5, 0x2500))).toEqual({ key: 5, code: 0x2500 });
    expect(parseSense(Buffer.from([0x72, 0x06, 0x29, 0x00]))).toEqual({ key: 6, code: 0x2900 });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 30 }), (bytes) => {
        const sense = parseSense(Buffer.from(bytes));
        if (sense !== undefined) expect(sense.key).toBeLessThan(16);
      }),
    );
  });

  it.each([
    [6, 0x2900, 'again'],
    [0xb, 0x4703, 'again'],
    [2, 0x0401, 'later'],
    [3, 0x1100, 'fail'],
  ])('%i/%i is met by trying %s', (key, code, remedy) => {
    expect(remedyFor(scsiStatus.checkCondition, { key, code })).toBe(remedy);
  });

  it('a busy target is asked later, a reserved LUN not at all', () => {
    expect(remedyFor(scsiStatus.busy, undefined)).toBe('later');
    expect(remedyFor(scsiStatus.taskSetFull, undefined)).toBe('later');
    expect(remedyFor(scsiStatus.reservationConflict, undefined)).toBe('reserved');
    expect(isUnsupported({ key: 5, code: 0x2000 })).toBe(true);
    expect(isUnsupported({ key: 5, code: 0x2500 })).toBe(false);
  });

  it.each([
    [7, 0x2700, 'read_only', 'write-protected'],
    [7, 0x2707, 'storage_full', 'pool'],
    [3, 0x1100, 'backend_unavailable', 'damaged'],
    [5, 0x2500, 'backend_unavailable', 'field lun'],
    [5, 0x2000, 'not_supported', 'does not know'],
    [4, 0x4400, 'backend_unavailable', 'damaged'],
    [0xd, 0, 'backend_unavailable', 'log of the target'],
  ])('%i/%i is told as %s', (key, code, expected, words) => {
    const error = scsiFailure('Writing block 8', scsiStatus.checkCondition, { key, code });
    expect(error.code).toBe(expected);
    expect(error.message).toContain(words);
    expect(error.message).toContain('Writing block 8');
  });
});
