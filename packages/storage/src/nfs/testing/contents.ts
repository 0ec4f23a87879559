import type { RandomContent } from '@holdfast/test-support/random-file';
import { expect } from 'vitest';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import type { StorageBackend } from '../../backend.ts';

export const MIB = 1024 * 1024;

/** The bytes of a content as a source, with a step in between once so many bytes have gone. */
export async function* sourceOf(
  content: RandomContent,
  step?: { after: number; run: () => Promise<void> },
): AsyncGenerator<Uint8Array> {
  let gone = 0;
  let isRun = step === undefined;
  for (const piece of content.pieces()) {
    yield piece;
    gone += piece.byteLength;
    if (isRun || step === undefined || gone < step.after) continue;
    isRun = true;
    await step.run();
  }
}

/** Reads a path to its end and compares every byte, with a step in between once so many bytes have come. */
export async function expectContent(
  backend: StorageBackend,
  path: BackendPath,
  content: RandomContent,
  step?: { after: number; run: () => Promise<void> },
): Promise<void> {
  await using file = await backend.open(path);
  expect(file.entry.size).toBe(content.size);
  const isAsItMustBe = content.checker();
  let come = 0;
  let isRun = step === undefined;
  for await (const chunk of file.stream()) {
    if (!isAsItMustBe(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength))) {
      throw new Error(`Other bytes than were written, at ${come} or after.`);
    }
    come += chunk.byteLength;
    if (isRun || step === undefined || come < step.after) continue;
    isRun = true;
    await step.run();
  }
  expect(come).toBe(content.size);
}
