import { HoldfastError } from '@holdfast/contract/errors';
import { Alarm, setRealTimer } from './alarm.ts';
import type { SetTimer } from './alarm.ts';
import { FollowedTransfer } from './followed-transfer.ts';
import type { TransferSource, WaitingBlock } from './followed-transfer.ts';
import { createPacer } from './pacer-state.ts';
import type { Pacer } from './pacer-state.ts';
import { advance, ask, reconfigure, register, rest, unregister, withdraw } from './pacer.ts';
import { checkSettings } from './settings.ts';
import type { ThrottleSettings } from './settings.ts';
import { closedStream, ThrottleStream } from './throttle-stream.ts';
import type { StreamHost } from './throttle-stream.ts';
import { transferProtocols } from './transfer-view.ts';
import type { PacedStream, StreamOutcome, TransferOutcome, TransferProtocol, TransferView } from './transfer-view.ts';

const PROGRESS_MS = 250;

/** The callbacks run in the middle of a transfer's work: they must be quick and must not throw. */
export interface ThrottleOptions<Meta> {
  settings: ThrottleSettings;
  /** A clock in ms that never goes back. Default: `performance.now`. */
  now?: () => number;
  setTimer?: SetTimer;
  /** How long a transfer without streams is kept, so that the next range request continues it. Default 5000. */
  idleLeaseMs?: number;
  /** Transfers without streams that are kept at most; beyond it the oldest is finished early. Default 20,000. */
  maxIdle?: number;
  onStarted?: (view: TransferView<Meta>) => void;
  /** At most 4 a second for each transfer, when bytes move. */
  onProgress?: (view: TransferView<Meta>) => void;
  /** Once for each transfer that was started. */
  onFinished?: (view: TransferView<Meta>, outcome: TransferOutcome) => void;
}

/** Sums since the start, and transfers with open streams now. */
export interface ProtocolTotals {
  bytes: number;
  waitingMs: number;
  active: number;
}

type Transfer<Meta> = FollowedTransfer<Meta, ThrottleStream<Meta>>;

/**
 * Shares one bandwidth budget among everything that is sent to machines, and follows it. A transfer is all that one
 * client gets of one path by one protocol: many range requests for one file are one transfer with one progress.
 * Clients behind one address that fetch the same file at a time therefore count as one.
 *
 * The rules are in `pacer.ts`; this adds the real clock, one timer, and the life of the transfers. While the budget
 * is out of reach, pacing a block is a comparison and a subtraction.
 */
export class Throttle<Meta> implements Disposable {
  readonly #options: ThrottleOptions<Meta>;
  readonly #now: () => number;
  readonly #pacer: Pacer<WaitingBlock>;
  readonly #host: StreamHost<Meta>;
  readonly #alarm: Alarm;
  readonly #byId = new Map<string, Transfer<Meta>>();
  /** The transfer of a (protocol, client, path) that a new stream joins. */
  readonly #byKey = new Map<string, Transfer<Meta>>();
  /** Without streams, in the order of their leases. */
  readonly #idle = new Set<Transfer<Meta>>();
  readonly #totals = Object.fromEntries(
    transferProtocols.map((protocol) => [protocol, { bytes: 0, waitingMs: 0, active: 0 }]),
  );
  #disposed = false;

  /** @throws HoldfastError `validation_failed` for settings that are no rates. */
  constructor(options: ThrottleOptions<Meta>) {
    checkSettings(options.settings);
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#pacer = createPacer(options.settings, this.#now());
    this.#alarm = new Alarm(() => this.#run(this.#now()), options.setTimer ?? setRealTimer);
    this.#host = {
      pacer: this.#pacer,
      wait: (stream, bytes) => this.#wait(stream, bytes),
      delivered: (stream, bytes) => this.#delivered(stream, bytes),
      closed: (stream, outcome, error) => this.#closed(stream, outcome, error),
    };
  }
}
