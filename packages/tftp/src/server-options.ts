import type { HoldfastError } from '@holdfast/contract/errors';
import type { Client } from './endpoint.ts';
import type { TransferMode } from './options.ts';
import type { TftpSource, TransferOutcome } from './source.ts';

/** What a client wants to read. */
export interface TftpRequest {
  /** As the client sent it: any UTF-8. Turning it into a safe path is up to `open`. */
  path: string;
  mode: TransferMode;
  client: Client;
  /** Aborts when the request is given up before the file is open. */
  signal: AbortSignal;
}

/** A transfer as it is now. */
export interface TftpSessionView {
  /** Unique for the life of the process. */
  id: number;
  client: Client;
  path: string;
  mode: TransferMode;
  /** Bytes on the wire, or null when they are only known at the end. */
  size: number | null;
  /** Bytes of a block. */
  blksize: number;
  /** Blocks of a window. */
  windowsize: number;
  /** Payload bytes that the client has acknowledged. */
  delivered: number;
  startedAt: Date;
}

/** What a server tells about its work; for the log, metrics and the registry of transfers. */
export interface TftpHooks {
  started?(session: TftpSessionView): void;
  ended?(session: TftpSessionView, outcome: TransferOutcome, error: HoldfastError | undefined): void;
  /** A request that did not become a transfer. `answered` is false when the client was left to ask again. */
  refused?(request: { path: string; client: Client }, error: HoldfastError, answered: boolean): void;
  /** A failure that ended nothing: a file that could not be closed, an error of the socket. */
  problem?(error: HoldfastError): void;
}

/** Bounds of a server. All have defaults. */
export interface TftpLimits {
  /** Transfers at the same time; further requests are left unanswered, so that clients ask again. Default 4096. */
  maxSessions: number;
  /** The same for one client address. Default 64. */
  maxSessionsPerClient: number;
  /** Bytes of a block at most. Default 1468, at most 65464. */
  maxBlksize: number;
  /** Bytes of a window at most. Default 65536, at most 65536. */
  maxWindowBytes: number;
  /** Bytes of all read buffers together. Default 64 MiB. */
  maxBufferBytes: number;
  /** Milliseconds before the first repetition; doubled for each further one. Default 1000. */
  timeoutMs: number;
  /** Milliseconds between two repetitions at most. Default 8000. */
  maxTimeoutMs: number;
  /** Repetitions without an answer before a transfer is given up. Default 5. */
  maxRetries: number;
  /** The same, while the client has never answered. Default 3. */
  maxUnansweredRetries: number;
  /** Milliseconds that the storage and the pacer may take for the next block. Default 30000. */
  supplyTimeoutMs: number;
}

export interface TftpServerOptions {
  /** The address to listen on. */
  host: string;
  /** 69 in production; 0 for any free one. */
  port: number;
  /**
   * All transfers over the one port, for NAT and Kubernetes; otherwise each has a port of its own (RFC 1350 §4).
   * Default false.
   */
  singlePort?: boolean;
  /** Opens a file. A rejection refuses the request; a HoldfastError's message is what the client is told. */
  open(request: TftpRequest): Promise<TftpSource>;
  hooks?: TftpHooks;
  limits?: Partial<TftpLimits>;
}

const defaultLimits: TftpLimits = {
  maxSessions: 4096,
  maxSessionsPerClient: 64,
  maxBlksize: 1468,
  maxWindowBytes: 65536,
  maxBufferBytes: 64 * 1024 * 1024,
  timeoutMs: 1000,
  maxTimeoutMs: 8000,
  maxRetries: 5,
  maxUnansweredRetries: 3,
  supplyTimeoutMs: 30_000,
};

/** The bounds with defaults filled in. @throws RangeError for a bound that no transfer could work with. */
export function completeLimits(given: Partial<TftpLimits> = {}): TftpLimits {
  const limits = { ...defaultLimits, ...given };
  const { maxBlksize, maxWindowBytes } = limits;
  if (!Number.isInteger(maxBlksize) || maxBlksize < 512 || maxBlksize > 65464) {
    throw new RangeError(`maxBlksize must be a whole number from 512 to 65464, not ${maxBlksize}.`);
  }
  // A window has to fit the half of a read buffer, so that two of them always hold all of it.
  if (!Number.isInteger(maxWindowBytes) || maxWindowBytes < 512 || maxWindowBytes > 65536) {
    throw new RangeError(`maxWindowBytes must be a whole number from 512 to 65536, not ${maxWindowBytes}.`);
  }
  return limits;
}
