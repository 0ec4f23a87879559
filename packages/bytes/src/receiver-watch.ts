import type { Writable } from 'node:stream';
import { HoldfastError } from '@holdfast/contract/errors';

/**
 * Ends a transfer's waiting the moment its receiver closes or its signal aborts, with HoldfastError `cancelled`.
 *
 * One wait at a time: it holds a single reject function, where `Promise.race` against a promise that lives as long
 * as the transfer would keep the reactions of every block alive.
 */
export class ReceiverWatch implements Disposable {
  readonly #to: Writable;
  readonly #signal: AbortSignal | undefined;
  #stopped: HoldfastError | undefined;
  /** Writes whose bytes the kernel has not taken. */
  #writing = 0;
  #reject: ((reason: HoldfastError) => void) | undefined;

  constructor(to: Writable, signal?: AbortSignal) {
    this.#to = to;
    this.#signal = signal;
    to.on('close', this.#onClose);
    to.on('error', this.#onError);
    signal?.addEventListener('abort', this.#onAbort);
    if (signal?.aborted === true) this.#onAbort();
  }

  /** @throws HoldfastError `cancelled` when the receiver is gone or the signal was aborted. */
  throwIfStopped(): void {
    if (this.#to.destroyed || this.#to.closed || this.#to.writableEnded) this.#onClose();
    if (this.#stopped !== undefined) throw this.#stopped;
  }

  /**
   * The outcome of `work`, or a rejection as soon as the transfer is stopped. `work` itself goes on then, and a
   * later failure of it is dropped, because the transfer has its reason already.
   */
  wait<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#stopped === undefined) this.#reject = reject;
      else reject(this.#stopped);
      work.then(resolve, reject);
    });
  }

  /**
   * Writes to the receiver; resolves once the bytes are with the kernel or will never be sent, so that their buffer
   * is free. A failure stops the transfer.
   * @throws HoldfastError `cancelled`, without writing, when the transfer is stopped.
   */
  write(bytes: Uint8Array): Promise<void> {
    this.throwIfStopped();
    this.#writing += 1;
    return new Promise((resolve) => {
      this.#to.write(bytes, (error) => {
        this.#writing -= 1;
        if (error) this.#onError(error);
        resolve();
      });
    });
  }

  [Symbol.dispose](): void {
    this.#to.off('close', this.#onClose);
    this.#signal?.removeEventListener('abort', this.#onAbort);
    // A broken stream, or one with a write under way, may emit its error only after this; with nobody listening that
    // would end the process.
    const isQuiet = this.#stopped === undefined && this.#writing === 0;
    if (isQuiet || this.#to.closed) this.#to.off('error', this.#onError);
  }

  readonly #onClose = (): void => this.#stop('The receiver closed the connection before it had all bytes.');
  readonly #onError = (error: Error): void => this.#stop('The connection to the receiver broke.', error);
  readonly #onAbort = (): void => this.#stop('The transfer was cancelled.', this.#signal?.reason);

  #stop(sentence: string, cause?: unknown): void {
    if (this.#stopped !== undefined) return;
    this.#stopped = new HoldfastError('cancelled', sentence, { cause });
    this.#reject?.(this.#stopped);
  }
}
