import { HoldfastError } from '@holdfast/contract/errors';
import type { FollowedTransfer, WaitingBlock } from './followed-transfer.ts';
import type { Pacer } from './pacer-state.ts';
import { takeFree } from './pacer.ts';
import { blockBytes } from './present-share.ts';
import type { PacedStream, StreamOutcome } from './transfer-view.ts';

/** What a stream needs of its throttle. */
export interface StreamHost<Meta> {
  readonly pacer: Pacer<WaitingBlock>;
  /** Enqueues a block of the stream; undefined when it may go at once. */
  wait(stream: ThrottleStream<Meta>, bytes: number): Promise<void> | undefined;
  delivered(stream: ThrottleStream<Meta>, bytes: number): void;
  closed(stream: ThrottleStream<Meta>, outcome: StreamOutcome, error: unknown): void;
}

/** A stream of a throttle; only the throttle makes and stops them. */
export class ThrottleStream<Meta> implements PacedStream {
  readonly transfer: FollowedTransfer<Meta, ThrottleStream<Meta>>;
  /** Its blocks that wait; a sender has one at a time. */
  readonly waiting = new Set<WaitingBlock>();
  readonly #host: StreamHost<Meta>;
  #controller: AbortController | undefined;
  #stopped: HoldfastError | undefined;
  #open = true;

  constructor(host: StreamHost<Meta>, transfer: FollowedTransfer<Meta, ThrottleStream<Meta>>) {
    this.#host = host;
    this.transfer = transfer;
  }

  get transferId(): string {
    return this.transfer.id;
  }

  get signal(): AbortSignal {
    // Most streams are small files that nobody ends from outside: they need no controller.
    this.#controller ??= new AbortController();
    if (this.#stopped !== undefined) this.#controller.abort(this.#stopped);
    return this.#controller.signal;
  }

  get blockBytes(): number {
    return blockBytes(this.#host.pacer, this.transfer.paced);
  }

  pace(bytes: number): Promise<void> | void {
    if (this.#stopped !== undefined) throw this.#stopped;
    if (!this.#open) throw closedStream();
    if (takeFree(this.#host.pacer, this.transfer.paced, bytes)) return undefined;
    return this.#host.wait(this, bytes);
  }

  sent(bytes: number): void {
    this.#host.delivered(this, bytes);
  }

  close(outcome: StreamOutcome, error?: unknown): void {
    if (!this.#open) return;
    this.#open = false;
    this.#host.closed(this, outcome, error);
  }

  [Symbol.dispose](): void {
    this.close('aborted');
  }

  /** Ends the sending from outside: later calls of `pace` are refused and the signal is aborted. */
  stop(reason: HoldfastError): void {
    this.#stopped ??= reason;
    this.#controller?.abort(this.#stopped);
  }
}

/** What a wait ends with when its stream is closed. */
export function closedStream(): HoldfastError {
  return new HoldfastError('cancelled', 'The transfer was closed before its bytes were sent.');
}
