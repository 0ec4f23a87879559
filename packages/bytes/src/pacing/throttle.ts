import { HoldfastError } from '@holdfast/contract/errors';
import { Alarm, setRealTimer } from './alarm.ts';
import type { SetTimer } from './alarm.ts';
import { FollowedTransfer } from './followed-transfer.ts';
import type { TransferSource, WaitingBlock } from './followed-transfer.ts';
import { createPacer } from './pacer-state.ts';
import type { Pacer } from './pacer-state.ts';
import { advance, ask, reconfigure, register, rest, takeUnfollowed, unregister, withdraw } from './pacer.ts';
import { checkSettings } from './settings.ts';
import type { ThrottleSettings } from './settings.ts';
import { closedStream, ThrottleStream } from './throttle-stream.ts';
import type { StreamHost } from './throttle-stream.ts';
import type {
  PacedStream,
  StreamOutcome,
  TransferOutcome,
  TransferProtocol,
  TransferView,
} from './transfer-view.ts';

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
  readonly #totals: Record<TransferProtocol, ProtocolTotals> = {
    http: { bytes: 0, waitingMs: 0, active: 0 },
    tftp: { bytes: 0, waitingMs: 0, active: 0 },
  };
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

  /** Applies new settings at once, running transfers included. @throws HoldfastError `validation_failed`. */
  configure(settings: ThrottleSettings): void {
    checkSettings(settings);
    const now = this.#now();
    reconfigure(this.#pacer, settings, now);
    this.#run(now);
  }

  /**
   * Opens a stream: of the transfer of its (protocol, client, path), or of a new one when there is none, the file's
   * size has changed, or all its bytes were delivered already. Close it in a `finally`, or hold it with `using`.
   * @throws HoldfastError `shutting_down` once the throttle is disposed.
   */
  open(source: TransferSource<Meta>): PacedStream {
    if (this.#disposed) throw shuttingDown();
    const now = this.#now();
    const key = keyOf(source);
    const transfer = this.#joinable(key, source, now) ?? this.#start(key, source, now);
    const stream = new ThrottleStream(this.#host, transfer);
    if (transfer.streams.size === 0) this.#totals[source.protocol].active += 1;
    this.#idle.delete(transfer);
    transfer.streams.add(stream);
    transfer.paced.streams += 1;
    transfer.requests += 1;
    if (transfer.requests === 1) this.#options.onStarted?.(transfer.view(this.#pacer, now));
    return stream;
  }

  /**
   * Whether so many bytes may go now, counted against the budget but followed by nobody. False while somebody waits:
   * then open a stream.
   */
  tryTake(bytes: number): boolean {
    return !this.#disposed && takeUnfollowed(this.#pacer, bytes, this.#now());
  }

  /** All transfers that are followed, the oldest first; those without streams too, until their lease ends. */
  list(): TransferView<Meta>[] {
    const now = this.#now();
    return Array.from(this.#byId.values(), (transfer) => transfer.view(this.#pacer, now));
  }

  /** Ends a transfer: its streams are aborted. `reason` is a part of a sentence. False when there is no such one. */
  end(id: string, reason: string): boolean {
    const transfer = this.#byId.get(id);
    if (transfer === undefined) return false;
    const error = new HoldfastError(
      'cancelled',
      `The transfer of ${transfer.source.path} was ended: ${reason}.`,
    );
    this.#stop(transfer, error, this.#now());
    return true;
  }

  totals(): Record<TransferProtocol, ProtocolTotals> {
    return { http: { ...this.#totals.http }, tftp: { ...this.#totals.tftp } };
  }

  /** Ends all transfers with `shutting_down` and refuses new ones. */
  [Symbol.dispose](): void {
    this.#disposed = true;
    const now = this.#now();
    for (const transfer of this.#byId.values()) this.#stop(transfer, shuttingDown(), now);
    this.#alarm[Symbol.dispose]();
  }

  #joinable(key: string, source: TransferSource<Meta>, now: number): Transfer<Meta> | undefined {
    const known = this.#byKey.get(key);
    if (known === undefined) return undefined;
    if (known.source.size === source.size && !known.isDelivered) return known;
    // Streams of it that are still open end it when they close.
    this.#byKey.delete(key);
    if (known.streams.size === 0) this.#finish(known, known.lastOutcome, now);
    return undefined;
  }

  #start(key: string, source: TransferSource<Meta>, now: number): Transfer<Meta> {
    const transfer: Transfer<Meta> = new FollowedTransfer(
      key,
      source,
      register(this.#pacer, source, now),
      now,
    );
    this.#byId.set(transfer.id, transfer);
    this.#byKey.set(key, transfer);
    return transfer;
  }

  #wait(stream: ThrottleStream<Meta>, bytes: number): Promise<void> | undefined {
    const now = this.#now();
    const { transfer } = stream;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const block: WaitingBlock = {
      bytes,
      askedAt: now,
      settle: (at, refusal) => {
        stream.waiting.delete(block);
        transfer.waitedMs += at - now;
        this.#totals[transfer.source.protocol].waitingMs += at - now;
        if (refusal === undefined) resolve();
        else reject(refusal);
      },
    };
    if (ask(this.#pacer, transfer.paced, block, now)) return undefined;
    stream.waiting.add(block);
    // Its sender may be gone when it is refused; then nobody listens, and that is all right.
    promise.catch(() => undefined);
    this.#run(now);
    return promise;
  }

  #delivered(stream: ThrottleStream<Meta>, bytes: number): void {
    const { transfer } = stream;
    this.#totals[transfer.source.protocol].bytes += bytes;
    if (transfer.finished) return;
    const now = this.#now();
    transfer.paced.sent += bytes;
    transfer.meter.add(bytes, now);
    if (this.#options.onProgress === undefined || now - transfer.progressAt < PROGRESS_MS) return;
    transfer.progressAt = now;
    this.#options.onProgress(transfer.view(this.#pacer, now));
  }

  #closed(stream: ThrottleStream<Meta>, outcome: StreamOutcome, error: unknown): void {
    const { transfer } = stream;
    if (transfer.finished) return;
    const now = this.#now();
    for (const block of stream.waiting) {
      withdraw(this.#pacer, transfer.paced, block, now);
      block.settle(now, closedStream());
    }
    transfer.streams.delete(stream);
    transfer.paced.streams -= 1;
    if (outcome === 'aborted') transfer.aborted += 1;
    transfer.lastOutcome = error === undefined ? { outcome } : { outcome, error };
    if (transfer.streams.size > 0) return;
    this.#totals[transfer.source.protocol].active -= 1;
    if (transfer.isDelivered || this.#byKey.get(transfer.key) !== transfer) {
      this.#finish(transfer, transfer.lastOutcome, now);
    } else {
      this.#keepIdle(transfer, now);
    }
  }

  #keepIdle(transfer: Transfer<Meta>, now: number): void {
    rest(this.#pacer, transfer.paced);
    transfer.leaseEndsAt = now + (this.#options.idleLeaseMs ?? 5000);
    this.#idle.add(transfer);
    const [oldest] = this.#idle;
    if (oldest !== undefined && this.#idle.size > (this.#options.maxIdle ?? 20_000)) {
      this.#finish(oldest, oldest.lastOutcome, now);
    }
    this.#alarm.by(transfer.leaseEndsAt, now);
  }

  #stop(transfer: Transfer<Meta>, reason: HoldfastError, now: number): void {
    const streams = [...transfer.streams];
    if (streams.length > 0) this.#totals[transfer.source.protocol].active -= 1;
    transfer.streams.clear();
    transfer.paced.streams = 0;
    transfer.aborted += streams.length;
    this.#finish(transfer, { outcome: 'aborted', error: reason }, now);
    for (const stream of streams) stream.stop(reason);
  }

  #finish(transfer: Transfer<Meta>, last: TransferOutcome, now: number): void {
    transfer.finished = true;
    for (const block of unregister(this.#pacer, transfer.paced, now)) {
      block.settle(now, last.error instanceof HoldfastError ? last.error : closedStream());
    }
    this.#idle.delete(transfer);
    this.#byId.delete(transfer.id);
    if (this.#byKey.get(transfer.key) === transfer) this.#byKey.delete(transfer.key);
    const outcome: TransferOutcome = transfer.isDelivered ? { outcome: 'complete' } : last;
    this.#options.onFinished?.(transfer.view(this.#pacer, now), outcome);
  }

  /** Does what is due, and sets the alarm for what comes next. */
  #run(now: number): void {
    const { granted, nextAt } = advance(this.#pacer, now);
    for (const block of granted) block.settle(now);
    for (const transfer of this.#idle) {
      if (transfer.leaseEndsAt > now) {
        this.#alarm.by(transfer.leaseEndsAt, now);
        break;
      }
      this.#finish(transfer, transfer.lastOutcome, now);
    }
    if (nextAt !== null) this.#alarm.by(nextAt, now);
  }
}

function keyOf({ protocol, client, path }: TransferSource<unknown>): string {
  return `${protocol}\0${client}\0${path}`;
}

function shuttingDown(): HoldfastError {
  return new HoldfastError(
    'shutting_down',
    'The transfer was ended, because the hub is shutting down. Try again later.',
  );
}
