import type { Turns } from '@holdfast/bytes/turns';
import type { Caller } from './caller.ts';
import { MAX_PAYLOAD_BYTES } from './frames.ts';

/** Bytes of a part when one goes at a time. */
const PART_BYTES = 256 * 1024;

/** Sends a source as fast as the other side gives credit, until its end or until it is stopped. */
export class SourcePump {
  readonly #caller: Caller;
  readonly #call: number;
  #credit = 0;
  readonly #turns: Turns | undefined;
  #isStopped = false;
  #wake: (() => void) | undefined;

  /** @param turns parts go one at a time, each in a turn that lasts until the other side has consumed it */
  constructor(caller: Caller, call: number, turns?: Turns) {
    this.#caller = caller;
    this.#call = call;
    this.#turns = turns;
  }

  addCredit(bytes: number): void {
    this.#credit += bytes;
    this.#wake?.();
  }

  /** Ends the run; a source that is stuck is not waited for. */
  stop(): void {
    this.#isStopped = true;
    this.#wake?.();
  }

  /** Throws the source's own error. */
  async run(source: AsyncIterable<Uint8Array>): Promise<void> {
    // A write that is refused at once leaves its source untouched.
    await this.#creditOrStop();
    const iterator = source[Symbol.asyncIterator]();
    let isReading = false;
    try {
      while (!this.#isStopped) {
        isReading = true;
        const reading = iterator.next().finally(() => (isReading = false));
        const step = await this.#unlessStopped(reading);
        if (step === undefined) return;
        if (step.done === true) {
          await this.#caller.send('end', this.#call);
          return;
        }
        await this.#sendChunk(step.value);
      }
    } finally {
      const closing = Promise.resolve(iterator.return?.()).catch(() => undefined);
      // A generator that hangs in `next` runs its `return` only after that: such a source is left to its owner.
      if (!isReading) await closing;
    }
  }

  async #sendChunk(chunk: Uint8Array): Promise<void> {
    const partBytes = this.#turns === undefined ? MAX_PAYLOAD_BYTES : PART_BYTES;
    for (let at = 0; at < chunk.byteLength; at += partBytes) {
      await this.#creditOrStop();
      if (this.#isStopped) return;
      const part = chunk.subarray(at, at + partBytes);
      if (this.#turns === undefined) await this.#sendPart(part);
      else await this.#turns.run(() => this.#sendAndWait(part));
    }
  }

  async #sendPart(part: Uint8Array): Promise<void> {
    this.#credit -= part.byteLength;
    await this.#caller.send('bytes', this.#call, part);
  }

  async #sendAndWait(part: Uint8Array): Promise<void> {
    if (this.#isStopped) return;
    const before = this.#credit;
    await this.#sendPart(part);
    await this.#creditOrStop(before);
  }

  async #creditOrStop(least = 1): Promise<void> {
    while (this.#credit < least && !this.#isStopped) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** A promise of its own for every step: reactions on one long promise would pile up with every chunk. */
  #unlessStopped<T>(step: Promise<T>): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      this.#wake = () => {
        if (this.#isStopped) resolve(undefined);
      };
      step.then(resolve, reject);
    });
  }
}
