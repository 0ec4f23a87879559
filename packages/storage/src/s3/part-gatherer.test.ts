import { sha256Hex } from '@holdfast/bytes/sha256';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { PartGatherer } from './part-gatherer.ts';

const { signal } = new AbortController();

/** Yields every chunk from the same memory, as a source may. */
async function* reusing(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  const memory = Buffer.alloc(Math.max(0, ...chunks.map((chunk) => chunk.byteLength)));
  for (const chunk of chunks) {
    memory.fill(0xee).set(chunk);
    yield memory.subarray(0, chunk.byteLength);
  }
}

const chunkLists = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 12 });

it('cuts any chunks into full parts and a last one, hashing each and the whole', async () => {
  await fc.assert(
    fc.asyncProperty(
      chunkLists,
      fc.integer({ min: 1, max: 50 }),
      fc.boolean(),
      async (chunks, size, grows) => {
        const whole = Buffer.concat(chunks);
        const parts: Buffer[] = [];
        await using gatherer = new PartGatherer(reusing(chunks), signal, 'Writing /a');
        while (await gatherer.hasMore()) {
          const { bytes, sha256 } = await gatherer.fill(grows ? size : Buffer.alloc(size), () => {});
          expect(sha256).toBe(sha256Hex(bytes));
          parts.push(bytes);
        }
        expect(Buffer.concat(parts).equals(whole)).toBe(true);
        expect(parts.slice(0, -1).every((part) => part.byteLength === size)).toBe(true);
        expect([gatherer.digest.bytes, gatherer.digest.hex()]).toEqual([whole.byteLength, sha256Hex(whole)]);
      },
    ),
  );
});

it('gathers a body of unknown size into memory that grows with what comes', async () => {
  const chunks = Array.from({ length: 40 }, (_, index) => Buffer.alloc(10_000, index));
  await using gatherer = new PartGatherer(reusing(chunks), signal, 'Writing /a');
  const { bytes } = await gatherer.fill(8 * 1024 * 1024, () => {});
  expect(bytes.equals(Buffer.concat(chunks))).toBe(true);
  expect(bytes.buffer.byteLength).toBeLessThan(2 * 1024 * 1024);
});

it('is refused by the check before bytes that are too many are taken', async () => {
  const refused = new Error('too many');
  await using gatherer = new PartGatherer(reusing([Buffer.alloc(6), Buffer.alloc(6)]), signal, 'Writing /a');
  const check = (bytes: number): void => {
    if (bytes > 10) throw refused;
  };
  await expect(gatherer.fill(100, check)).rejects.toBe(refused);
  expect(gatherer.digest.bytes).toBe(6);
});
