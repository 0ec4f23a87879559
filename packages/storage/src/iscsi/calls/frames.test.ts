import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeFrame, frameKinds, FrameReader, MAX_PAYLOAD_BYTES } from './frames.ts';
import type { Frame } from './frames.ts';

const frame = fc.record({
  kind: fc.constantFrom(...frameKinds),
  call: fc.integer({ min: 0, max: 0xffff_ffff }),
  payload: fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes)),
});

describe('frames', () => {
  it('are read back, however the bytes are cut', () => {
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 8 }), fc.array(fc.nat(50)), (frames, cuts) => {
        const bytes = Buffer.concat(
          frames.map(({ kind, call, payload }) => encodeFrame(kind, call, payload)),
        );
        const reader = new FrameReader();
        const read: Frame[] = [];
        let at = 0;
        for (const length of [...cuts, bytes.byteLength]) {
          read.push(...reader.push(bytes.subarray(at, at + length)));
          at += length;
        }
        expect(read.map((each) => ({ ...each, payload: Buffer.from(each.payload) }))).toEqual(frames);
      }),
    );
  });

  it('carry no more than a payload of their limit', () => {
    expect(() => encodeFrame('bytes', 1, Buffer.alloc(MAX_PAYLOAD_BYTES + 1))).toThrow('too long');
    const header = encodeFrame('bytes', 1);
    header.writeUInt32BE(MAX_PAYLOAD_BYTES + 1);
    expect(() => [...new FrameReader().push(header)]).toThrow('no frames');
  });

  it('of an unknown kind are refused', () => {
    const header = encodeFrame('bytes', 1);
    header[4] = frameKinds.length;
    expect(() => [...new FrameReader().push(header)]).toThrow('no frames');
  });
});
