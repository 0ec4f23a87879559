import { RandomContent } from '../../support/random-file.ts';

export const MIB = 1024 * 1024;
export const large = new RandomContent('large', 32 * MIB);

/** The bytes of a content as a source, with a step in between once so many bytes have gone. */
export async function* sourceOf(
  content: RandomContent,
  step?: { after: number; run: () => Promise<void> },
): AsyncGenerator<Uint8Array> {
  let gone = 0;
  let isToRun = step !== undefined;
  for (const piece of content.pieces()) {
    yield piece;
    gone += piece.byteLength;
    if (step === undefined || !isToRun || gone < step.after) continue;
    isToRun = false;
    await step.run();
  }
}
