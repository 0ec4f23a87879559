import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sampleBytes } from '../../conformance/sample-bytes.ts';
import { targetPdu } from '../testing/target-pdus.ts';
import type { SessionParameters } from './negotiation.ts';
import { decodeTargetPdu } from './pdu.ts';
import type { OutgoingPdu, TargetPdu } from './pdu.ts';
import { ScsiTask } from './task.ts';

const parametersOf = fc.record({
  headerDigest: fc.constant(false),
  dataDigest: fc.constant(false),
  maxSendBytes: fc.integer({ min: 512, max: 5000 }),
  maxBurstBytes: fc.integer({ min: 512, max: 20_000 }),
  firstBurstBytes: fc.integer({ min: 512, max: 10_000 }),
  initialR2t: fc.boolean(),
  immediateData: fc.boolean(),
});
const plain: SessionParameters = {
  headerDigest: false,
  dataDigest: false,
  maxSendBytes: 8192,
  maxBurstBytes: 16_384,
  firstBurstBytes: 8192,
  initialR2t: true,
  immediateData: true,
};
const sequence = { cmdSn: 1, expStatSn: 1 };
const cdb = Buffer.alloc(16);

function taskOf(
  parameters: SessionParameters,
  data: { dataOut?: Uint8Array; dataInBytes?: number },
): ScsiTask {
  return new ScsiTask(
    { label: 'Testing', cdb, ...data },
    { tag: 5, cmdSn: 1, lun: Buffer.alloc(8), parameters },
  );
}

function only<Type extends TargetPdu['type']>(
  type: Type,
  pdu: TargetPdu,
): Extract<TargetPdu, { type: Type }> {
  if (!isOf(type, pdu)) throw new Error(`not a ${type}`);
  return pdu;
}

function isOf<Type extends TargetPdu['type']>(
  type: Type,
  pdu: TargetPdu,
): pdu is Extract<TargetPdu, { type: Type }> {
  return pdu.type === type;
}

function r2t(
  r2tSn: number,
  bufferOffset: number,
  desiredLength: number,
): Extract<TargetPdu, { type: 'r2t' }> {
  const words = { 20: 77, 36: r2tSn, 40: bufferOffset, 44: desiredLength };
  return only('r2t', decodeTargetPdu(targetPdu({ opcode: 0x31, tag: 5, words }), Buffer.alloc(0)));
}

function dataIn(
  dataSn: number,
  offset: number,
  data: Buffer,
  end?: { status: number; residual?: number },
): Extract<TargetPdu, { type: 'data-in' }> {
  const flags = end === undefined ? 0 : 0x81 | (end.residual === undefined ? 0 : 0x02);
  const words = { 36: dataSn, 40: offset, 44: end?.residual ?? 0 };
  const header = targetPdu({ opcode: 0x25, flags, tag: 5, words, bytes: { 3: end?.status ?? 0 } });
  return only('data-in', decodeTargetPdu(header, data));
}

describe('a write', () => {
  it('sends every byte once, in pieces that were agreed on, whatever the parameters', () => {
    fc.assert(
      fc.property(parametersOf, fc.integer({ min: 1, max: 40_000 }), (parameters, size) => {
        const dataOut = sampleBytes(size);
        const task = taskOf(parameters, { dataOut });
        const got = Buffer.alloc(size);
        let sent = 0;
        const take = (pdus: OutgoingPdu[], from: number): void => {
          for (const [index, { header, data }] of pdus.entries()) {
            const isCommand = header[0] === 0x01;
            const offset = isCommand ? 0 : header.readUInt32BE(40);
            expect(offset).toBe(sent);
            expect(data.byteLength).toBeLessThanOrEqual(parameters.maxSendBytes);
            if (!isCommand) expect(header.readUInt32BE(36)).toBe(index - from);
            // The last piece of a sequence says so, and no other.
            expect((header[1] ?? 0) >> 7).toBe(
              index === pdus.length - 1 || (isCommand && pdus.length === 1) ? 1 : 0,
            );
            got.set(data, offset);
            sent += data.byteLength;
          }
        };
        take([...task.begin(sequence)], 1);
        expect(sent).toBeLessThanOrEqual(Math.min(size, parameters.firstBurstBytes));
        if (!parameters.immediateData && parameters.initialR2t) expect(sent).toBe(0);
        for (let number = 0; sent < size; number += 1) {
          take([...task.transfer(r2t(number, sent, Math.min(parameters.maxBurstBytes, size - sent)), 1)], 0);
        }
        expect(got.equals(dataOut)).toBe(true);
      }),
    );
  });

  it.each([
    ['beyond its end', r2t(0, 8192, 9000)],
    ['beyond a burst', r2t(0, 0, 16_385)],
    ['of nothing', r2t(0, 8192, 0)],
    ['out of order', r2t(1, 8192, 100)],
  ])('refuses a request for data %s', (_name, pdu) => {
    const task = taskOf(plain, { dataOut: sampleBytes(17_000) });
    expect(() => [...task.transfer(pdu, 1)]).toThrow('breaks the protocol');
  });

  it('that is called good but was not taken whole is refused', () => {
    const header = targetPdu({ opcode: 0x21, flags: 0x82, tag: 5, words: { 44: 512 } });
    const pdu = only('scsi-response', decodeTargetPdu(header, Buffer.alloc(0)));
    expect(() => taskOf(plain, { dataOut: sampleBytes(1024) }).end(pdu)).toThrow('ended early');
  });
});

describe('a read', () => {
  it('puts its data together, however it is cut', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5000 }),
        fc.array(fc.integer({ min: 1, max: 999 })),
        (size, cuts) => {
          const expected = sampleBytes(size, 2);
          const task = taskOf(plain, { dataInBytes: size });
          let at = 0;
          let dataSn = 0;
          for (const length of cuts) {
            if (at + length >= size) break;
            expect(task.receive(dataIn(dataSn, at, expected.subarray(at, at + length)))).toBeUndefined();
            at += length;
            dataSn += 1;
          }
          const outcome = task.receive(dataIn(dataSn, at, expected.subarray(at), { status: 0 }));
          expect(outcome?.dataIn.equals(expected)).toBe(true);
        },
      ),
    );
  });

  it('gives less where the target says so', () => {
    const outcome = taskOf(plain, { dataInBytes: 255 }).receive(
      dataIn(0, 0, sampleBytes(96), { status: 0, residual: 159 }),
    );
    expect(outcome?.dataIn).toEqual(sampleBytes(96));
  });

  it.each([
    ['a gap', dataIn(0, 100, sampleBytes(10))],
    ['a piece out of order', dataIn(1, 0, sampleBytes(10))],
    ['more than was asked for', dataIn(0, 0, sampleBytes(1001))],
    ['too little that is called good', dataIn(0, 0, sampleBytes(999), { status: 0 })],
    ['a residual that does not add up', dataIn(0, 0, sampleBytes(900), { status: 0, residual: 99 })],
  ])('refuses %s', (_name, pdu) => {
    expect(() => taskOf(plain, { dataInBytes: 1000 }).receive(pdu)).toThrow('breaks the protocol');
  });

  it('that fails brings its sense data', () => {
    const sense = Buffer.from([0x70, 0, 5, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0x25, 0]);
    const data = Buffer.concat([Buffer.from([0, sense.byteLength]), sense]);
    const header = targetPdu({ opcode: 0x21, flags: 0x80, tag: 5, bytes: { 3: 2 } });
    const outcome = taskOf(plain, { dataInBytes: 10 }).end(
      only('scsi-response', decodeTargetPdu(header, data)),
    );
    expect(outcome).toMatchObject({ status: 2, sense });
    const cutShort = only('scsi-response', decodeTargetPdu(header, data.subarray(0, 8)));
    expect(() => taskOf(plain, { dataInBytes: 10 }).end(cutShort)).toThrow('sense data longer');
  });
});
