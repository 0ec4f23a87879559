import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { targetPdu } from '../testing/target-pdus.ts';
import { decodeTargetPdu, NO_TAG } from './pdu.ts';
import type { TargetPdu } from './pdu.ts';
import { SessionNumbers } from './session-numbers.ts';

const serial = fc.oneof(fc.nat(0xffff_ffff), fc.constantFrom(0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff));

function message(fields: Parameters<typeof targetPdu>[0]): TargetPdu {
  return decodeTargetPdu(targetPdu(fields), Buffer.alloc(0));
}

describe('the numbers of a session', () => {
  it('let as many commands go as the window has room for, also where numbers wrap', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 100 }), (room) => {
        const numbers = new SessionNumbers();
        numbers.openWindow(room);
        let sent = 0;
        for (; numbers.isWindowOpen; sent += 1) expect(numbers.take().cmdSn).toBe(sent + 1);
        expect(sent).toBe(room);
        expect(numbers.current().cmdSn).toBe(room + 1);
      }),
    );
  });

  it('follow the statuses of the target one by one, and refuse one out of order', () => {
    fc.assert(
      fc.property(serial, fc.integer({ min: 1, max: 5 }), (first, jump) => {
        const numbers = new SessionNumbers();
        numbers.followLogin(first);
        const next = (first + 1) >>> 0;
        expect(numbers.current().expStatSn).toBe(next);
        numbers.follow(message({ opcode: 0x21, statSn: next, flags: 0x80 }));
        expect(numbers.expStatSn).toBe((next + 1) >>> 0);
        const early = message({ opcode: 0x21, statSn: (next + 1 + jump) >>> 0, flags: 0x80 });
        expect(() => numbers.follow(early)).toThrow('a status out of order');
      }),
    );
  });

  it('do not count what carries no status: data, requests for data, pings', () => {
    const numbers = new SessionNumbers();
    numbers.followLogin(6);
    numbers.follow(message({ opcode: 0x25, statSn: 99 }));
    numbers.follow(message({ opcode: 0x31, statSn: 99 }));
    numbers.follow(message({ opcode: 0x20, statSn: 99, tag: NO_TAG }));
    expect(numbers.expStatSn).toBe(7);
  });

  it('never shrink the window, and pass over one that is less than empty', () => {
    const numbers = new SessionNumbers();
    numbers.openWindow(1);
    const withWindow = (expCmdSn: number, maxCmdSn: number): void =>
      numbers.follow(message({ opcode: 0x31, expCmdSn, maxCmdSn }));
    numbers.take();
    expect(numbers.isWindowOpen).toBe(false);
    withWindow(9, 5);
    expect(numbers.isWindowOpen).toBe(false);
    withWindow(2, 2);
    expect(numbers.isWindowOpen).toBe(true);
    withWindow(1, 1);
    expect(numbers.isWindowOpen).toBe(true);
  });
});
