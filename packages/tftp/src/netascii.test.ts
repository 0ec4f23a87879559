import fc from 'fast-check';
import { expect, test } from 'vitest';
import { encodeNetascii, type PendingByte } from './netascii.ts';
import { netasciiSource } from './netascii-source.ts';
import { memorySource } from './testing/memory-source.ts';

/** The rule of RFC 764 in one line, over the whole text. */
function reference(content: Uint8Array): Buffer {
  return Buffer.from(
    Buffer.from(content).toString('latin1').replaceAll('\r', '\r\0').replaceAll(/\n/g, '\r\n'),
    'latin1',
  );
}

const lineBytes = fc.uint8Array({ maxLength: 200, max: 255 }).map((bytes) =>
  // Mostly line ends, in all combinations.
  bytes.map((byte) => (byte < 80 ? 10 : byte < 160 ? 13 : byte)),
);

test('line ends are encoded', () => {
  const output = Buffer.alloc(20);
  const step = encodeNetascii(Buffer.from('a\nb\rc\r\n'), output, -1);
  expect(output.toString('latin1', 0, step.written)).toBe('a\r\nb\r\0c\r\0\r\n');
  expect(step).toEqual({ read: 7, written: 11, pending: -1 });
});

test('pieces of any size give the same bytes as the whole', () => {
  fc.assert(
    fc.property(lineBytes, fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1 }), (content, sizes) => {
      const pieces: Uint8Array[] = [];
      let read = 0;
      let pending: PendingByte = -1;
      for (let turn = 0; read < content.length || pending !== -1; turn += 1) {
        const output = new Uint8Array(sizes[turn % sizes.length] ?? 1);
        const input = content.subarray(read, read + (sizes[(turn + 1) % sizes.length] ?? 1));
        const step = encodeNetascii(input, output, pending);
        read += step.read;
        pending = step.pending;
        pieces.push(output.subarray(0, step.written));
      }
      expect(Buffer.concat(pieces)).toEqual(reference(content));
    }),
  );
});

test('a file as netascii can be read from any earlier position again', async () => {
  await fc.assert(
    fc.asyncProperty(
      lineBytes,
      fc.array(fc.nat({ max: 400 }), { maxLength: 20 }),
      async (content, positions) => {
        const source = netasciiSource(memorySource(content));
        const whole = reference(content);
        expect(source.size).toBeNull();
        for (const wanted of [0, ...positions]) {
          const position = Math.min(wanted, whole.length);
          const buffer = new Uint8Array(37);
          const read = await source.readInto(buffer, position);
          expect(Buffer.from(buffer.subarray(0, read))).toEqual(whole.subarray(position, position + 37));
        }
      },
    ),
  );
});
