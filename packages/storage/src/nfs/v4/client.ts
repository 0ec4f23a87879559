import { HoldfastError } from '@holdfast/contract/errors';
import { randomBytes, randomUUID } from 'node:crypto';
import { NfsFailure } from '../failure.ts';
import { RpcRefused } from '../rpc/link.ts';
import type { RpcLink } from '../rpc/link.ts';
import { isSuspicious, nfsStatus, statusName } from '../status.ts';
import type { Operation } from './operation.ts';
import { getServerAttributes, putRootHandle, VERIFIER_BYTES } from './operations.ts';
import { callCompound, Session } from './session.ts';
import type { ExchangeOptions } from './session.ts';
import {
  createSession,
  destroyClient,
  destroySession,
  exchangeId,
  reclaimComplete,
} from './session-operations.ts';
import type { ChannelLimits, ClientOwner } from './session-operations.ts';
import { SessionGone } from './slot-table.ts';

/** Bytes of file in one READ or WRITE at most. */
const TRANSFER_BYTES = 1024 * 1024;
/** Bytes of a request or answer besides them. */
const OVERHEAD_BYTES = 4096;
/** What the window of a transfer and a few small requests beside it take. */
const WANTED_SLOTS = 24;
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 2000;
/** Beyond the usual 90 s in which a server that started anew serves nothing but reclaims. */
const GRACE_MS = 150_000;
const FAREWELL_MS = 1000;
/** Sessions that are made in a row before one holds. */
const MAX_SESSIONS = 5;

const wantedLimits: ChannelLimits = {
  maxRequestBytes: TRANSFER_BYTES + OVERHEAD_BYTES,
  maxResponseBytes: TRANSFER_BYTES + OVERHEAD_BYTES,
  maxCachedBytes: 4096,
  maxOperations: 64,
  maxRequests: WANTED_SLOTS,
};

/** The server does not speak NFSv4.1. */
export class VersionMissing extends Error {
  override readonly name = 'VersionMissing';
}

/** The opens of this client are void: the server has started anew, or has dropped them. */
export class StateLost extends Error {
  override readonly name = 'StateLost';
}

export interface RunOptions extends ExchangeOptions {
  /** The operations use a stateid of this generation. @see Session.generation */
  generation?: number;
}

/** Something that was open when the server started anew, and may be claimed before anybody else gets it. */
export interface Reclaimable {
  reclaim(clientId: bigint, exchange: Session['exchange'], generation: number): Promise<void>;
}

/** What the server calls this client, and the number of its next session. */
interface ClientNumber {
  readonly id: bigint;
  nextSequenceId: number;
}

/** What a server tells of itself. */
export interface ServerLimits {
  maxReadBytes: number;
  maxWriteBytes: number;
  maxOperations: number;
}

/**
 * A client of NFSv4.1: it introduces itself, makes sessions, renews its lease while files are open, and starts over
 * when the server has forgotten it.
 */
export class V4Client implements AsyncDisposable {
  readonly #link: RpcLink;
  readonly #owner: ClientOwner;
  readonly #open = new Set<Reclaimable>();
  #clientId: ClientNumber | undefined;
  #generation = 0;
  #session: Session | undefined;
  #establishing: Promise<Session> | undefined;
  #limits: ServerLimits | undefined;
  #renewal: NodeJS.Timeout | undefined;
  #lastRequest = 0;

  constructor(link: RpcLink, ownerId: string) {
    this.#link = link;
    this.#owner = { verifier: randomBytes(VERIFIER_BYTES), name: `holdfast/${ownerId}/${randomUUID()}` };
  }

  /** Known once a session was made. */
  get limits(): ServerLimits {
    if (this.#limits === undefined) throw new Error('There is no session yet.');
    return this.#limits;
  }

  /** Whether a call would find a connection at this moment. */
  get isConnected(): boolean {
    return this.#link.isConnected;
  }

  /** A session that is usable as far as is known. @throws VersionMissing; HoldfastError `backend_unavailable` */
  async session(): Promise<Session> {
    if (this.#session !== undefined && !this.#session.isGone) return this.#session;
    this.#establishing ??= this.#establish().finally(() => {
      this.#establishing = undefined;
    });
    return this.#establishing;
  }

  /** The number of this client for OPEN, with the generation it belongs to. */
  async identity(): Promise<{ clientId: bigint; generation: number }> {
    const { generation } = await this.session();
    if (this.#clientId === undefined) throw new StateLost();
    return { clientId: this.#clientId.id, generation };
  }

  /**
   * Runs operations as one request. A server that is busy or in its grace period is asked again.
   * @returns whether it was sent more than once
   * @throws NfsFailure for the status of the first operation that failed; StateLost with `generation` alone;
   *   HoldfastError `backend_unavailable`
   */
  async run(operations: readonly Operation<unknown>[], options: RunOptions = {}): Promise<boolean> {
    const started = performance.now();
    let wasResent = false;
    let suspect = 0;
    let gone = 0;
    for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
      const session = await this.session();
      if (options.generation !== undefined && options.generation !== session.generation)
        throw new StateLost();
      this.#lastRequest = performance.now();
      let outcome;
      try {
        outcome = await session.exchange(operations, options);
      } catch (error) {
        if (!(error instanceof SessionGone)) throw error;
        // Whatever was sent before may have been done.
        wasResent = true;
        gone += 1;
        await this.#onSessionGone(gone);
        continue;
      }
      wasResent ||= outcome.wasResent;
      const { status, done } = outcome;
      if (status === nfsStatus.OK) return wasResent;
      if (isSuspicious(status) && status !== suspect) {
        suspect = status;
        wasResent = true;
        continue;
      }
      if (status !== nfsStatus.DELAY && status !== nfsStatus.GRACE) {
        throw new NfsFailure(status, operations[done - 1]?.name ?? 'SEQUENCE', wasResent);
      }
      // Those before the one that has to wait are done, and will be done again.
      wasResent ||= done > 2;
      const patience = status === nfsStatus.GRACE ? GRACE_MS : this.#link.options.timeLimitMs;
      if (performance.now() + pause > started + patience) throw busyServer(status);
      await this.#link.pause(pause);
    }
  }

  /** Keeps the lease alive from now on, and claims the file when the server has started anew. */
  register(file: Reclaimable): void {
    this.#open.add(file);
  }

  unregister(file: Reclaimable): void {
    this.#open.delete(file);
  }

  /** Says good-bye, so that the server need not wait for the lease to end; never for long. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#renewal);
    const [session, client] = [this.#session, this.#clientId];
    session?.end();
    if (session === undefined || client === undefined || !this.#link.isConnected) return;
    const farewell = (async () => {
      await callCompound(this.#link, [destroySession(session.id)]);
      await callCompound(this.#link, [destroyClient(client.id)]);
    })();
    // Without it the server forgets us a lease later all the same.
    const timer = setTimeout(() => this.#link.disconnect(), FAREWELL_MS);
    await farewell.catch(() => undefined);
    clearTimeout(timer);
  }

  async #establish(): Promise<Session> {
    for (let attempt = 1; ; attempt += 1) {
      const client = this.#clientId ?? (await this.#introduce());
      const create = createSession(client.id, client.nextSequenceId, wantedLimits);
      const status = await this.#patiently([create]);
      if (status === nfsStatus.OK) {
        client.nextSequenceId += 1;
        const { sessionId, limits } = create.value;
        const within = { ...limits, maxRequests: Math.min(limits.maxRequests, WANTED_SLOTS) };
        try {
          return await this.#begin(new Session(this.#link, sessionId, within, this.#generation), client);
        } catch (error) {
          // The server started anew in this very moment, or what was sent was changed on its way.
          if (!(error instanceof SessionGone) || attempt === MAX_SESSIONS) throw error;
          this.#clientId = undefined;
          continue;
        }
      }
      // The server has forgotten the client, or counts its sessions otherwise: a new introduction settles both.
      if (this.#clientId === undefined) throw new NfsFailure(status, 'CREATE_SESSION', false);
      this.#clientId = undefined;
    }
  }

  /** Sessions that end one after the other: the server may not know the client itself any more. */
  async #onSessionGone(times: number): Promise<void> {
    if (times === 1) return;
    this.#clientId = undefined;
    if (times > MAX_SESSIONS) {
      const text = 'The NFS server ends every session as soon as it is made. Look into its log.';
      throw new HoldfastError('backend_unavailable', text);
    }
    await this.#link.pause(FIRST_PAUSE_MS * 2 ** times);
  }

  async #introduce(): Promise<ClientNumber> {
    const exchange = exchangeId(this.#owner);
    const status = await this.#patiently([exchange]).catch((error: unknown) => {
      if (error instanceof RpcRefused) throw refusalOf(error);
      throw error;
    });
    if (status === nfsStatus.MINOR_VERS_MISMATCH) throw new VersionMissing();
    if (status !== nfsStatus.OK) throw new NfsFailure(status, 'EXCHANGE_ID', false);
    this.#generation += 1;
    return { id: exchange.value.clientId, nextSequenceId: exchange.value.sequenceId };
  }

  async #begin(session: Session, client: ClientNumber): Promise<Session> {
    const isNewClient = this.#clientId === undefined;
    if (isNewClient) {
      const exchange: Session['exchange'] = (operations, options) => session.exchange(operations, options);
      for (const file of this.#open) await file.reclaim(client.id, exchange, session.generation);
      const { status } = await session.exchange([reclaimComplete()]);
      if (status !== nfsStatus.OK && status !== nfsStatus.COMPLETE_ALREADY) {
        throw new NfsFailure(status, 'RECLAIM_COMPLETE', false);
      }
    }
    await this.#learn(session);
    this.#clientId = client;
    this.#session = session;
    return session;
  }

  async #learn(session: Session): Promise<void> {
    if (this.#limits !== undefined) return;
    const about = getServerAttributes();
    const { status } = await session.exchange([putRootHandle(), about]);
    if (status !== nfsStatus.OK) throw new NfsFailure(status, 'GETATTR', false);
    const { leaseTime, maxRead, maxWrite } = about.value;
    const { maxResponseBytes, maxRequestBytes, maxOperations } = session.limits;
    this.#limits = {
      maxReadBytes: transferBytes(maxRead, maxResponseBytes),
      maxWriteBytes: transferBytes(maxWrite, maxRequestBytes),
      maxOperations,
    };
    // Three times a lease, so that one that is late or lost does no harm.
    const intervalMs = (Math.max(leaseTime, 1) * 1000) / 3;
    this.#renewal = setInterval(() => void this.#renew(intervalMs / 2), intervalMs).unref();
  }

  /** @param recentMs a request as recent as this has renewed the lease */
  async #renew(recentMs: number): Promise<void> {
    if (this.#open.size === 0 || performance.now() - this.#lastRequest < recentMs) return;
    // Should it fail, whoever uses the files next is told, and opens them again.
    await this.run([]).catch(() => undefined);
  }

  /** Runs what stands outside of sessions; DELAY means to ask again. @returns the status */
  async #patiently(operations: readonly Operation<unknown>[]): Promise<number> {
    const started = performance.now();
    for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
      const { status } = await callCompound(this.#link, operations);
      if (status !== nfsStatus.DELAY) return status;
      if (performance.now() + pause > started + this.#link.options.timeLimitMs) throw busyServer(status);
      await this.#link.pause(pause);
    }
  }
}

/** Whole blocks of 4 KiB, at most a megabyte, that fit into a message. */
function transferBytes(serverLimit: number, messageLimit: number): number {
  const bytes = Math.min(TRANSFER_BYTES, serverLimit, messageLimit - OVERHEAD_BYTES / 4);
  return Math.max(bytes - (bytes % 4096), Math.min(bytes, 4096));
}

function busyServer(status: number): HoldfastError {
  const why = status === nfsStatus.GRACE ? 'is in its grace period after a restart' : 'asks to wait';
  const text = `The NFS server ${why} (${statusName(status)}), and did so for too long. Try again later.`;
  return new HoldfastError('backend_unavailable', text);
}

function refusalOf(error: RpcRefused): Error {
  const { kind } = error.reply;
  if (kind === 'versionMismatch' || kind === 'programMissing' || kind === 'procedureMissing')
    return new VersionMissing();
  return error;
}
