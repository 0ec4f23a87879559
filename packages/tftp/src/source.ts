import type { HoldfastError } from '@holdfast/contract/errors';

/**
 * How a transfer ended:
 * - `completed`: the client has acknowledged the last block;
 * - `probed`: the client asked for the options only (error 8 after the OACK, as OVMF does to learn the size);
 * - `aborted`: the client sent an error, closed its port, or started over;
 * - `timeout`: the client stopped answering;
 * - `failed`: it failed here: the file could not be read, or the server was closed.
 */
export type TransferOutcome = 'completed' | 'probed' | 'aborted' | 'timeout' | 'failed';

/** An opened file that a transfer reads from. */
export interface TftpSource {
  /** Bytes, or null when the end is only known by reading. */
  readonly size: number | null;
  /**
   * Fills `buffer` from a position; resolves to the bytes read, which may be fewer, and to 0 only at the end.
   * One call at a time; positions mostly rise, but a lost packet may bring back an earlier one.
   */
  readInto(buffer: Uint8Array, position: number): Promise<number>;
  /**
   * Asked before payload bytes are sent, repeated ones included; a window is held back until it resolves. Gaps must
   * stay well under a second, or clients ask again.
   */
  pace?(bytes: number): Promise<void> | void;
  /** Told payload bytes when the client acknowledges them for the first time. */
  delivered?(bytes: number): void;
  /** Called once, after the last read has ended. `error` comes with every outcome but `completed` and `probed`. */
  close(outcome: TransferOutcome, error?: HoldfastError): Promise<void> | void;
}
