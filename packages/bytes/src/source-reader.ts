import { throwIfCancelled, unlessCancelled } from './cancellation.ts';

/** Takes chunks from a source one at a time; a cancellation does not wait for a source that is stuck. */
export class SourceReader implements AsyncDisposable {
  readonly #iterator: AsyncIterator<Uint8Array>;
  readonly #signal: AbortSignal | undefined;
  readonly #doing: string;
  #state: 'idle' | 'waiting' | 'ended' = 'idle';
  #stopWaiting: (() => void) | undefined;

  /** @param doing what is cancelled, as a gerund for the error: `Writing /isos/a.iso` */
  constructor(source: AsyncIterable<Uint8Array>, signal: AbortSignal | undefined, doing: string) {
    this.#iterator = source[Symbol.asyncIterator]();
    this.#signal = signal;
    this.#doing = doing;
    signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  readonly #onAbort = (): void => this.#stopWaiting?.();

  /**
   * The next chunk, or undefined at the end and ever after. The source may use a chunk's memory again at the next call.
   * @throws the source's own error, as it is; HoldfastError `cancelled`, or the signal's own reason
   */
  async next(): Promise<Uint8Array | undefined> {
    throwIfCancelled(this.#signal, this.#doing);
    if (this.#state === 'ended') return undefined;
    // A promise a chunk: racing every chunk against one long promise would pile up reactions on it.
    const stopped = Promise.withResolvers<undefined>();
    this.#stopWaiting = () => stopped.resolve(undefined);
    const result = await Promise.race([this.#step(), stopped.promise]);
    throwIfCancelled(this.#signal, this.#doing);
    return result === undefined || result.done === true ? undefined : result.value;
  }

  /**
   * Waits for a step that is not the source's, unless the signal fires; the step itself goes on.
   * @throws the step's own error; HoldfastError `cancelled`, or the signal's own reason
   */
  async during<T>(step: Promise<T>): Promise<T> {
    return unlessCancelled(this.#signal, this.#doing, () => step);
  }

  async #step(): Promise<IteratorResult<Uint8Array>> {
    this.#state = 'waiting';
    try {
      const result = await this.#iterator.next();
      this.#state = result.done === true ? 'ended' : 'idle';
      return result;
    } catch (error) {
      this.#state = 'ended';
      throw error;
    }
  }

  /** Lets the source clean up. Its failure to do so never hides why the reading ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#signal?.removeEventListener('abort', this.#onAbort);
    if (this.#state === 'ended') return;
    const closing = Promise.resolve(this.#iterator.return?.()).catch(() => undefined);
    // A generator that hangs in `next` runs its `return` only after that: such a source is left to its owner.
    if (this.#state === 'idle') await closing;
    this.#state = 'ended';
  }
}
