import type { RpcLink } from '../rpc/link.ts';
import type { XdrReader } from '../xdr/reader.ts';
import { readCompound, writeCompound } from './compound.ts';
import type { CompoundOutcome } from './compound.ts';
import type { Operation } from './operation.ts';
import { judgeSequence } from './sequence-verdict.ts';
import { bindConnection, sequence } from './session-operations.ts';
import type { ChannelLimits } from './session-operations.ts';
import { SessionGone, SlotTable } from './slot-table.ts';
import type { Slot } from './slot-table.ts';

const NFS_PROGRAM = 100003;
const NFS_VERSION = 4;
const COMPOUND = 1;
const DELAY_MS = 100;

export interface ExchangeOptions {
  /** The server keeps the answer, for operations that must not be done twice. */
  keepReply?: boolean;
  replyBuffer?: Buffer | undefined;
}

export interface ExchangeOutcome extends CompoundOutcome {
  wasResent: boolean;
}

/** Sends a compound as it is, without a session. */
export async function callCompound(
  link: RpcLink,
  operations: readonly Operation<unknown>[],
  replyBuffer?: Buffer,
): Promise<ExchangeOutcome> {
  const request = {
    program: NFS_PROGRAM,
    version: NFS_VERSION,
    procedure: COMPOUND,
    write: (writer: Parameters<typeof writeCompound>[0]) => writeCompound(writer, operations),
    ...(replyBuffer === undefined ? {} : { replyBuffer }),
  };
  const decode = (reader: XdrReader): CompoundOutcome => readCompound(reader, operations);
  const { value, wasResent } = await link.call(request, decode);
  return { ...value, wasResent };
}

/**
 * A session with the server (RFC 8881 §2.10). A request keeps its slot and its number over every connection that it
 * takes, so that the server does it once only.
 */
export class Session {
  readonly limits: ChannelLimits;
  /** Counts the lives of the client at the server: opens of another one are void. */
  readonly generation: number;
  readonly #link: RpcLink;
  readonly #sessionId: Buffer;
  readonly #slots: SlotTable;

  constructor(link: RpcLink, sessionId: Buffer, limits: ChannelLimits, generation: number) {
    this.#link = link;
    this.#sessionId = sessionId;
    this.limits = limits;
    this.generation = generation;
    this.#slots = new SlotTable(limits.maxRequests);
  }

  get id(): Buffer {
    return this.#sessionId;
  }

  get isGone(): boolean {
    return this.#slots.isGone;
  }

  /** No request is sent any more; those that wait for a slot fail with SessionGone. */
  end(): void {
    this.#slots.end();
  }

  /**
   * Sends operations as one request.
   * @throws SessionGone when the server does not know the session any more: what was sent may have been done
   */
  async exchange(
    operations: readonly Operation<unknown>[],
    options: ExchangeOptions = {},
  ): Promise<ExchangeOutcome> {
    const slot = await this.#slots.acquire();
    let wasResent = false;
    for (;;) {
      const outcome = await this.#send(slot, operations, options);
      wasResent ||= outcome.wasResent;
      if (outcome.done > 0) {
        this.#slots.complete(slot);
        // Servers say it of SEQUENCE itself, or of the operation after it (RFC 8881 §2.10.6.1.3).
        if (judgeSequence(outcome.status) === 'answerLost') return this.#again(operations, options);
        return { ...outcome, wasResent };
      }
      // It was not taken, or not this time.
      switch (judgeSequence(outcome.status)) {
        case 'sendAgain':
          await this.#orEnd(this.#link.pause(DELAY_MS));
          break;
        case 'bindFirst':
          await this.#orEnd(callCompound(this.#link, [bindConnection(this.#sessionId)]));
          break;
        case 'answerLost':
          this.#slots.complete(slot);
          return this.#again(operations, options);
        case 'retireSlot':
          this.#slots.retire(slot);
          return this.#again(operations, options);
        case 'newSession':
          this.end();
          throw new SessionGone();
        default:
          // It speaks of the request (too large, unreadable) before anything was done.
          this.#slots.giveBack(slot);
          return { ...outcome, wasResent };
      }
    }
  }

  async #again(
    operations: readonly Operation<unknown>[],
    options: ExchangeOptions,
  ): Promise<ExchangeOutcome> {
    return { ...(await this.exchange(operations, options)), wasResent: true };
  }

  async #send(
    slot: Slot,
    operations: readonly Operation<unknown>[],
    { keepReply = false, replyBuffer }: ExchangeOptions,
  ): Promise<ExchangeOutcome> {
    const head = sequence({
      sessionId: this.#sessionId,
      sequenceId: slot.sequenceId,
      slotId: slot.id,
      highestSlotId: this.#slots.highestBusy,
      keepReply,
    });
    const outcome = await this.#orEnd(callCompound(this.#link, [head, ...operations], replyBuffer));
    return outcome;
  }

  /** A request that was given up leaves its slot in doubt, and with it the session. */
  async #orEnd<T>(step: Promise<T>): Promise<T> {
    return step.catch((error: unknown) => {
      this.end();
      throw error;
    });
  }
}
