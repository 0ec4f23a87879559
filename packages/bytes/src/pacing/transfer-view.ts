export type TransferProtocol = 'http' | 'tftp';

/** How a stream, and in the end its transfer, came to its end. */
export type StreamOutcome = 'complete' | 'aborted' | 'failed';

export interface TransferOutcome {
  outcome: StreamOutcome;
  /** Why, when it is not complete and a reason is known. */
  error?: unknown;
}

/** A transfer as it is at one moment. */
export interface TransferView<Meta> {
  id: string;
  client: string;
  path: string;
  protocol: TransferProtocol;
  /** Bytes of the whole file; `null` when unknown. */
  size: number | null;
  /** Bytes delivered over all its streams. Parts that were sent again count again. */
  bytes: number;
  /** Bytes per second, smoothed over about a second. */
  rate: number;
  /** 1 to 32, see `transferPriority`. */
  priority: number;
  /** Bytes per second that it is entitled to at present. */
  share: number;
  /** `null` when the size is unknown or nothing moves. */
  etaSeconds: number | null;
  startedAt: Date;
  /** Time that its streams spent waiting for their turn, added up. */
  waitingMs: number;
  /** Streams that are open now. */
  streams: number;
  /** Streams that were ever opened, and those of them that were aborted. */
  requests: number;
  aborted: number;
  meta: Meta;
}

/** One stream of a transfer, as its sender uses it. */
export interface PacedStream extends Disposable {
  /** The `id` of the transfer that it belongs to. */
  readonly transferId: string;
  /** Aborted with a HoldfastError when the transfer is ended from outside or the throttle is disposed. */
  readonly signal: AbortSignal;
  /** The most bytes to send at once now. Ask before each block. */
  readonly blockBytes: number;
  /**
   * Returns at once, without a promise, when the bytes may go now; otherwise the promise resolves in their turn.
   * @throws HoldfastError `cancelled` when the stream is closed or its transfer ended, also while it waits;
   * `shutting_down` when the throttle is disposed.
   */
  pace(bytes: number): Promise<void> | void;
  /** Tells of bytes that were delivered. */
  sent(bytes: number): void;
  /** Ends the stream and frees its slot; a wait ends with `cancelled`. Only the first call counts. */
  close(outcome: StreamOutcome, error?: unknown): void;
  /** Closes the stream as aborted if it is still open. */
  [Symbol.dispose](): void;
}
