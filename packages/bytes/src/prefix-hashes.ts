import { availableParallelism } from 'node:os';
import { HashSeat } from './hash-seat.ts';
import { throwIfCancelled } from './cancellation.ts';
import { HoldfastError } from '@holdfast/contract/errors';
import type { PrefixHashReport } from './prefix-hash-worker.ts';

/** Bytes of a file that are hashed in one turn: then it is another file's turn. */
const TURN_BYTES = 16 * 1024 * 1024;

export interface PrefixHashesOptions {
  /** Worker threads; they are started when needed. Default: one less than the machine's parallelism, at least 1. */
  workers?: number;
  /** States that are kept at most; the one that was not used for longest is forgotten first. Default 4096. */
  maxStates?: number;
}

/** A descriptor for as long as it is being read. */
export interface ReadableDescriptor extends AsyncDisposable {
  readonly fd: number;
}

/**
 * SHA-256 of files that are still growing: each hash can be taken further whenever more of its file is there. It lives in a
 * worker thread, which reads the file by itself; files take turns, and the event loop stays free. Idle workers do not keep
 * the process alive.
 */
export class PrefixHashes implements AsyncDisposable {
  readonly #seats: HashSeat[];
  #lastId = 0;

  constructor({ workers, maxStates = 4096 }: PrefixHashesOptions = {}) {
    const count = Math.max(1, workers ?? availableParallelism() - 1);
    const statesPerSeat = Math.max(1, Math.floor(maxStates / count));
    this.#seats = Array.from({ length: count }, () => new HashSeat(statesPerSeat));
  }

  /** A new hash of no bytes yet. It costs nothing before its first byte. */
  begin(): PrefixHash {
    this.#lastId += 1;
    const [first, ...others] = this.#seats;
    if (first === undefined) throw new RangeError('There are no workers.');
    const seat = others.reduce((best, each) => (each.hashes < best.hashes ? each : best), first);
    return new PrefixHash(seat, this.#lastId);
  }

  /** Ends the workers; what is under way is rejected with `shutting_down`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#seats.map((seat) => seat[Symbol.asyncDispose]()));
  }
}

/** One SHA-256 in the making. Its calls are made one after the other; dispose it to free the state. */
export class PrefixHash implements Disposable {
  readonly #seat: HashSeat;
  readonly #id: number;
  readonly #cancelled = new Int32Array(new SharedArrayBuffer(4));
  #hashed = 0;
  #life = 0;

  constructor(seat: HashSeat, id: number) {
    this.#seat = seat;
    this.#id = id;
    seat.hashes += 1;
  }

  /** Bytes that were taken in. It goes back to 0 when the state was lost; then hashing begins anew. */
  get hashed(): number {
    return this.#hashed;
  }

  /** Forgets all bytes. Not while a call is under way. */
  restart(): void {
    this.#hashed = 0;
  }

  /**
   * Takes in the bytes of a file from where the hash is up to a position, or up to the end of the file when it is shorter.
   * @param open gives the descriptor for one turn of hashing; it is disposed after the turn
   * @throws HoldfastError `backend_unavailable` when reading fails, `internal` (retryable) when the worker crashes,
   *   `cancelled`, `shutting_down`; what `open` throws
   */
  async fromFile(
    open: () => Promise<ReadableDescriptor>,
    to: number,
    options: { signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    while (this.#hashed < to) {
      throwIfCancelled(options.signal, 'Hashing');
      const report = await this.#turn(async () => {
        await using file = await open();
        const from = this.#hashed;
        return await this.#seat.ask({
          kind: 'file',
          hash: this.#id,
          fd: file.fd,
          from,
          to: Math.min(to, from + TURN_BYTES),
          cancelled: this.#cancelled,
        });
      });
      this.#requireWanted();
      if (report.kind === 'at' && report.position === this.#hashed) return;
      this.#settle(report);
    }
  }

  /**
   * Takes in the next bytes. Their memory goes over to the worker: the caller has it no more.
   * @returns whether they were taken in; if not, the state was lost, and everything has to come again from the first byte
   */
  async takeOver(bytes: Uint8Array<ArrayBuffer>): Promise<boolean> {
    const job = { kind: 'bytes', hash: this.#id, from: this.#hashed, bytes } as const;
    const report = await this.#turn(() => this.#seat.ask(job, [bytes.buffer]));
    this.#settle(report);
    return report.kind === 'at';
  }

  /**
   * The SHA-256 of what was taken in, in lower-case hex; more can be taken in afterwards. Undefined when the state was
   * lost: then everything has to come again from the first byte.
   */
  async digest(): Promise<string | undefined> {
    const report = await this.#turn(() =>
      this.#seat.ask({ kind: 'digest', hash: this.#id, at: this.#hashed }),
    );
    this.#settle(report);
    return report.kind === 'digest' ? report.sha256 : undefined;
  }

  /** Ends what is under way soon, and frees the state. Descriptors are disposed when the worker reads them no more. */
  [Symbol.dispose](): void {
    if (this.#cancelled[0] !== 0) return;
    Atomics.store(this.#cancelled, 0, 1);
    this.#seat.hashes -= 1;
    this.#seat.drop(this.#id);
  }

  #turn(work: () => Promise<PrefixHashReport>): Promise<PrefixHashReport> {
    return this.#seat.turn(async (life) => {
      // The states of a thread that has ended are gone.
      if (life !== this.#life) this.#hashed = 0;
      this.#life = life;
      this.#requireWanted();
      return work();
    });
  }

  #requireWanted(): void {
    if (this.#cancelled[0] !== 0) throw new HoldfastError('cancelled', 'Hashing the file was cancelled.');
  }

  #settle(report: PrefixHashReport): void {
    if (report.kind === 'at') this.#hashed = report.position;
    if (report.kind === 'lost') this.#hashed = 0;
    if (report.kind !== 'failed') return;
    const text = `The file could not be read to be hashed (${report.message}). Check the storage and try again.`;
    throw new HoldfastError('backend_unavailable', text);
  }
}
