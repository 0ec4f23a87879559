import { isHoldfastError } from '@holdfast/contract/errors';
import type { CommandContext } from '../context.ts';
import { exitCodeOf } from '../exit-codes.ts';
import { printable } from '../output/format.ts';

/** What could not be done, and why. */
interface Failed {
  name: string;
  code: string;
  detail: string;
}

/**
 * Does the same to each of several things; a failure of one does not keep it from the others, but decides the exit code. A
 * single thing fails as usual.
 * @returns the names that were done, in order, and the failures
 */
export async function forEach<Thing>(
  context: CommandContext,
  things: readonly Thing[],
  nameOf: (thing: Thing) => string,
  act: (thing: Thing) => Promise<void>,
): Promise<{ done: string[]; failed: Failed[] }> {
  const done: string[] = [];
  const failed: Failed[] = [];
  for (const thing of things) {
    const name = nameOf(thing);
    try {
      await act(thing);
      done.push(name);
    } catch (error) {
      if (things.length === 1 || !isHoldfastError(error) || context.signal.aborted) throw error;
      if (failed.length === 0) context.endWith(exitCodeOf(error));
      failed.push({ name, code: error.code, detail: error.message });
      if (context.output.mode !== 'json') context.output.warn(`${printable(name)}: ${error.message}`);
    }
  }
  return { done, failed };
}
