import { isHoldfastError } from '@holdfast/contract/errors';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { targetPdu } from '../testing/target-pdus.ts';
import { framePdu, PduReader } from './framing.ts';
import type { Digests, RawPdu } from './framing.ts';

const limit = 4096;
const digests = fc.record({ header: fc.boolean(), data: fc.boolean() });
const payload = fc.uint8Array({ maxLength: 200 });

function wire(payloads: readonly Uint8Array[], use: Digests): Buffer {
  const pieces = payloads.flatMap((data, index) => {
    const header = targetPdu({ opcode: 0x25, tag: index, dataLength: data.byteLength });
    return framePdu({ header, data }, use);
  });
  return Buffer.concat(pieces);
}

function* cut(bytes: Buffer, sizes: readonly number[]): Generator<Buffer> {
  let at = 0;
  for (const size of sizes) {
    yield bytes.subarray(at, at + size);
    at += size;
  }
  yield bytes.subarray(at);
}

function read(bytes: Buffer, use: Digests, sizes: readonly number[] = []): RawPdu[] {
  const reader = new PduReader(limit);
  reader.useDigests(use);
  return [...cut(bytes, sizes)].flatMap((chunk) => [...reader.push(chunk)]);
}

describe('what is framed', () => {
  it('is read back, however the bytes are cut', () => {
    fc.assert(
      fc.property(
        fc.array(payload, { maxLength: 6 }),
        digests,
        fc.array(fc.nat(60)),
        (payloads, use, sizes) => {
          const pdus = read(wire(payloads, use), use, sizes);
          expect(pdus.map(({ data }) => Buffer.from(data))).toEqual(
            payloads.map((data) => Buffer.from(data)),
          );
          expect(pdus.map(({ header }) => header.readUInt32BE(16))).toEqual(
            payloads.map((_, index) => index),
          );
        },
      ),
    );
  });

  it('is padded to four bytes', () => {
    fc.assert(
      fc.property(payload, digests, (data, use) => {
        expect(wire([data], use).byteLength % 4).toBe(0);
      }),
    );
  });
});

describe('a flipped byte', () => {
  it('is always found where there are digests', () => {
    const both = { header: true, data: true };
    fc.assert(
      fc.property(
        fc.array(payload, { minLength: 1, maxLength: 4 }),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (payloads, place, mask) => {
          const bytes = wire(payloads, both);
          const at = place % bytes.byteLength;
          bytes[at] = (bytes[at] ?? 0) ^ mask;
          expect(() => read(bytes, both)).toThrow(/digest does not match/);
        },
      ),
    );
  });

  it('without digests gives other bytes or a refusal, and never more than was agreed', () => {
    const none = { header: false, data: false };
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        try {
          for (const { data } of read(Buffer.from(bytes), none))
            expect(data.byteLength).toBeLessThanOrEqual(limit);
        } catch (error) {
          expect(isHoldfastError(error, 'backend_unavailable')).toBe(true);
        }
      }),
    );
  });
});

it('a length beyond what was agreed is refused before a byte of it is waited for', () => {
  const header = targetPdu({ opcode: 0x25, dataLength: limit + 1 });
  expect(() => [...new PduReader(limit).push(header)]).toThrow(/4097 bytes, where 4096 were agreed/);
});

it('digests count from the next message on, also within one chunk', () => {
  const use = { header: true, data: true };
  const plain = wire([Buffer.from('first')], { header: false, data: false });
  const reader = new PduReader(limit);
  const seen: string[] = [];
  for (const { data } of reader.push(Buffer.concat([plain, wire([Buffer.from('second')], use)]))) {
    seen.push(data.toString());
    reader.useDigests(use);
  }
  expect(seen).toEqual(['first', 'second']);
});
