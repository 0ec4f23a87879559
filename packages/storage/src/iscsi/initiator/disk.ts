import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import { HoldfastError } from '@holdfast/contract/errors';
import { setTimeout as delay } from 'node:timers/promises';
import { readBlocks, synchronizeCache, writeBlocks } from './block-commands.ts';
import { acquireFence, releaseFence } from './fence.ts';
import { LogicalUnit } from './logical-unit.ts';
import type { LunFacts } from './logical-unit.ts';
import type { ReservationKey } from './persistent-reservation.ts';
import { ReservedByAnother } from './sense.ts';
import { CommandTimedOut } from './command-queue.ts';
import { IscsiSession } from './session.ts';
import type { SessionOptions } from './session.ts';

/** Bytes of one command; a whole number of blocks of any size. */
const maxCommandBytes = 256 * 1024;
const maxVerifyAttempts = 3;
const parallelZeroes = 8;
const maxTimeouts = 2;
const firstPauseMs = 20;
const longestPauseMs = 1000;

export interface DiskOptions extends Omit<SessionOptions, 'timeoutMs' | 'signal'> {
  target: string;
  lun: number;
  /** Reserves the LUN with this key, at every login anew. */
  fenceKey?: ReservationKey | undefined;
  /** Milliseconds without any progress after which the disk is given up. */
  stallMs: number;
}

interface OpenedUnit {
  unit: LogicalUnit;
  facts: LunFacts;
  isWriteProtected: boolean;
}

/**
 * A LUN as a disk that outlives its connection: a lost session is opened again and what was under way is sent again,
 * until nothing has gone forward for `stallMs`. Reads and writes of blocks are idempotent, and the new session carries
 * the same initiator name and ISID, so that the target ends all tasks of the old one first (RFC 7143 §6.3.5): no write
 * of the past comes late.
 *
 * Bytes are verified end to end by data digests; where the target has none, every write is read back and compared
 * before it counts.
 */
export class IscsiDisk implements AsyncDisposable {
  readonly facts: LunFacts;
  readonly isWriteProtected: boolean;
  /** Settles when the disk is given up; every later call fails with the same error. Never rejects. */
  readonly lost: Promise<HoldfastError>;
  readonly #options: DiskOptions;
  readonly #losing = Promise.withResolvers<HoldfastError>();
  readonly #closing = new AbortController();
  #unit: LogicalUnit;
  #opening: Promise<LogicalUnit> | undefined;
  #lostBy: HoldfastError | undefined;
  #pending = 0;
  #progressAt = performance.now();
  #reconnects = 0;

  private constructor(options: DiskOptions, { unit, facts, isWriteProtected }: OpenedUnit) {
    this.#options = options;
    this.facts = facts;
    this.isWriteProtected = isWriteProtected;
    this.lost = this.#losing.promise;
    this.#unit = this.#adopt(unit);
  }

  /**
   * Connects, asks the LUN what it is, and reserves it when a key is given. One attempt, no patience.
   * @throws HoldfastError `backend_unavailable`, `cancelled`
   */
  static async open(options: DiskOptions, signal?: AbortSignal): Promise<IscsiDisk> {
    const opened = await openUnit(options, { timeoutMs: options.stallMs, isFirst: true, signal });
    return new IscsiDisk(options, opened);
  }

  get sizeBytes(): number {
    return this.facts.blockBytes * this.facts.blockCount;
  }

  /** How many times the session was opened again. */
  get reconnects(): number {
    return this.#reconnects;
  }

  /** Whether every data segment carries a digest; otherwise writes are read back. */
  get hasDataDigest(): boolean {
    return this.#unit.session.parameters.dataDigest;
  }

  /** Reads bytes from a position; both whole numbers of blocks. */
  async read(position: number, length: number): Promise<Buffer> {
    const parts = this.#split(position, length).map((part) => this.#readPart(part.position, part.length));
    const read = await Promise.all(parts);
    return read.length === 1 && read[0] !== undefined ? read[0] : Buffer.concat(read);
  }

  /** Writes bytes at a position; both whole numbers of blocks. They are not durable before the next `flush`. */
  async write(position: number, data: Uint8Array): Promise<void> {
    await Promise.all(
      this.#split(position, data.byteLength).map(async (part) => {
        const start = part.position - position;
        await this.#writePart(part.position, data.subarray(start, start + part.length));
      }),
    );
  }

  /** Writes zeroes over a range; both whole numbers of blocks. */
  async zero(position: number, length: number): Promise<void> {
    const zeroes = Buffer.alloc(Math.min(length, maxCommandBytes));
    const parts = this.#split(position, length).values();
    const worker = async (): Promise<void> => {
      for (const part of parts) await this.#writePart(part.position, zeroes.subarray(0, part.length));
    };
    await Promise.all(Array.from({ length: parallelZeroes }, worker));
  }

  /** Makes durable what was written before. */
  async flush(): Promise<void> {
    await this.#perform((unit) => unit.ask(synchronizeCache(), () => undefined));
  }

  /** Releases the reservation and logs out, as far as the target answers. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#lose(new HoldfastError('backend_unavailable', 'The LUN was closed.'));
    this.#closing.abort();
    await this.#opening?.catch(() => undefined);
    const unit = this.#unit;
    if (unit.session.hasEnded) return;
    unit.onUpheaval = undefined;
    const { fenceKey } = this.#options;
    // A target that is gone keeps the reservation; the same hub takes it over when it comes back.
    if (fenceKey !== undefined) await releaseFence(unit, fenceKey).catch(() => undefined);
    await unit.session[Symbol.asyncDispose]();
  }

  /** The ranges of single commands. @throws HoldfastError `range_not_satisfiable` */
  #split(position: number, length: number): { position: number; length: number }[] {
    const { blockBytes, maxBlocks } = this.facts;
    if (
      position % blockBytes !== 0 ||
      length % blockBytes !== 0 ||
      position < 0 ||
      position + length > this.sizeBytes
    ) {
      const text = `Bytes ${position} to ${position + length} are not whole blocks of ${blockBytes} bytes of the LUN.`;
      throw new HoldfastError('range_not_satisfiable', text);
    }
    const step = Math.min(maxCommandBytes, (maxBlocks ?? Number.POSITIVE_INFINITY) * blockBytes);
    const parts: { position: number; length: number }[] = [];
    for (let at = 0; at < length; at += step) {
      parts.push({ position: position + at, length: Math.min(step, length - at) });
    }
    return parts;
  }

  async #readPart(position: number, length: number): Promise<Buffer> {
    const { blockBytes } = this.facts;
    return this.#perform((unit) =>
      unit.run(readBlocks(position / blockBytes, length / blockBytes, blockBytes)),
    );
  }

  async #writePart(position: number, data: Uint8Array): Promise<void> {
    const { blockBytes } = this.facts;
    const block = position / blockBytes;
    for (let attempt = 1; ; attempt += 1) {
      const isVerified = await this.#perform(async (unit) => {
        await unit.run(writeBlocks(block, data, blockBytes));
        if (unit.session.parameters.dataDigest) return true;
        return (await unit.run(readBlocks(block, data.byteLength / blockBytes, blockBytes))).equals(data);
      });
      if (isVerified) return;
      if (attempt === maxVerifyAttempts) {
        const text =
          `Blocks from ${block} on came back from the iSCSI target with other bytes than were written, ${attempt} times ` +
          'in a row. Check the network and the disk behind the target.';
        throw new HoldfastError('backend_unavailable', text);
      }
    }
  }

  /** Carries an action through, over as many sessions as it takes. */
  async #perform<T>(action: (unit: LogicalUnit) => Promise<T>): Promise<T> {
    if (this.#pending === 0) this.#progressAt = performance.now();
    this.#pending += 1;
    try {
      for (let timeouts = 0; ;) {
        if (this.#lostBy !== undefined) throw this.#lostBy;
        const unit = this.#unit.session.hasEnded ? await this.#reopen() : this.#unit;
        try {
          const result = await action(unit);
          this.#progressAt = performance.now();
          return result;
        } catch (error) {
          if (error instanceof ReservedByAnother) throw this.#lose(error);
          if (error instanceof CommandTimedOut) {
            // The answer may have been garbled on its way, or the disk of the target hangs: one more attempt tells.
            timeouts += 1;
            if (timeouts === maxTimeouts) throw this.#lose(error);
            unit.session.destroy(error);
            this.#progressAt = performance.now();
          }
          // The command failed, not the session: that is the answer.
          if (!unit.session.hasEnded) throw error;
        }
      }
    } finally {
      this.#pending -= 1;
    }
  }

  #adopt(unit: LogicalUnit): LogicalUnit {
    unit.onUpheaval = () => {
      const text = 'The iSCSI target was reset, or its reservation changed hands.';
      unit.session.destroy(new HoldfastError('backend_unavailable', text));
    };
    return unit;
  }

  #reopen(): Promise<LogicalUnit> {
    this.#opening ??= this.#keepOpening().finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  async #keepOpening(): Promise<LogicalUnit> {
    const { signal } = this.#closing;
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
      if (this.#lostBy !== undefined) throw this.#lostBy;
      const leftMs = this.#progressAt + this.#options.stallMs - performance.now();
      try {
        const { unit, facts } = await openUnit(this.#options, {
          timeoutMs: Math.max(leftMs, firstPauseMs),
          isFirst: false,
          signal,
        });
        this.#requireSame(facts);
        this.#reconnects += 1;
        this.#unit = this.#adopt(unit);
        return unit;
      } catch (error) {
        const failure =
          error instanceof HoldfastError ? error : new HoldfastError('backend_unavailable', String(error));
        // A target that starts up may not know its targets yet; only a fence is final at once.
        const isFinal = failure.code !== 'backend_unavailable' || failure instanceof ReservedByAnother;
        if (isFinal || leftMs <= pauseMs) throw this.#lose(failure);
      }
      await delay(pauseMs, undefined, { signal }).catch(() => undefined);
      throwIfCancelled(signal, 'Reconnecting');
    }
  }

  #requireSame(facts: LunFacts): void {
    const { identity, blockBytes, blockCount } = this.facts;
    if (facts.identity === identity && facts.blockBytes === blockBytes && facts.blockCount === blockCount)
      return;
    const text =
      'The LUN is another one than before: its identity or size has changed. Nothing was written to it.';
    throw new HoldfastError('wrong_volume', text);
  }

  #lose(reason: HoldfastError): HoldfastError {
    this.#lostBy ??= reason;
    this.#losing.resolve(this.#lostBy);
    return this.#lostBy;
  }
}

async function openUnit(
  options: DiskOptions,
  opening: { timeoutMs: number; isFirst: boolean; signal: AbortSignal | undefined },
): Promise<OpenedUnit> {
  const { timeoutMs, isFirst, signal } = opening;
  // Half of the patience for one session or command: a silent one leaves time for a second attempt.
  const silenceMs = options.stallMs / 2;
  const session = await IscsiSession.open({
    ...options,
    timeoutMs: Math.max(timeoutMs / 2, 1),
    silenceMs,
    signal,
  });
  try {
    const unit = new LogicalUnit(session, options.lun, silenceMs);
    const facts = await unit.describe(signal);
    // Later on, another start of the same hub is one that has taken the LUN over from this one.
    if (options.fenceKey !== undefined)
      await acquireFence(unit, options.fenceKey, { takeOver: isFirst, signal });
    return { unit, facts, isWriteProtected: await unit.isWriteProtected(signal) };
  } catch (error) {
    await session[Symbol.asyncDispose]();
    throw error;
  }
}
