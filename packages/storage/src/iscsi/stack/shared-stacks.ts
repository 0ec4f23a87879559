import { LiveStack } from './live-stack.ts';
import type { StackOptions } from './live-stack.ts';

interface Shared {
  stack: LiveStack;
  users: number;
  ending: Promise<void> | undefined;
}

/**
 * The stacks of this process by hub and LUN. A file system must never be mounted twice, so that everybody of one hub who
 * wants the same LUN shares one stack: a changed configuration is checked while the backend with the former one still
 * lives. Another hub has a stack of its own, which the reservation refuses.
 */
const stacks = new Map<string, Shared>();

/** A share in a stack. Disposing the last one takes the stack down. */
export class StackShare implements AsyncDisposable {
  readonly stack: LiveStack;
  readonly #release: () => Promise<void>;

  constructor(stack: LiveStack, release: () => Promise<void>) {
    this.stack = stack;
    this.#release = release;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#release();
  }
}

/**
 * The stack of a LUN, shared with whoever of the same hub uses it already. Waits for one that is on its way down.
 * @param name the same for the same hub and LUN
 */
export async function shareStack(name: string, options: StackOptions): Promise<StackShare> {
  let shared = stacks.get(name);
  while (shared?.ending !== undefined) {
    await shared.ending;
    shared = stacks.get(name);
  }
  if (shared === undefined) {
    shared = { stack: new LiveStack(options), users: 0, ending: undefined };
    stacks.set(name, shared);
  }
  const taken = shared;
  taken.users += 1;
  let isReleased = false;
  return new StackShare(taken.stack, async () => {
    if (isReleased) return taken.ending;
    isReleased = true;
    taken.users -= 1;
    if (taken.users > 0) return;
    taken.ending = taken.stack.dispose().finally(() => stacks.delete(name));
    await taken.ending;
  });
}
