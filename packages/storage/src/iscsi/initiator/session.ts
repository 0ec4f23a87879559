import { throwIfCancelled } from '@holdfast/bytes/durable-file';
import { HoldfastError } from '@holdfast/contract/errors';
import type { Socket } from 'node:net';
import { cancellationOf } from '../cancellation.ts';
import { openConnection, portalText, resolvePortal } from './connection.ts';
import type { Portal } from './connection.ts';
import { LoginExchange } from './login-exchange.ts';
import type { LoginOptions, LoginResponse } from './login.ts';
import type { SessionParameters } from './negotiation.ts';
import { abortTask, garbled, logoutRequest, NO_TAG, nopOut, textRequest } from './pdu.ts';
import type { SequenceNumbers, TargetPdu } from './pdu.ts';
import { PduChannel } from './pdu-channel.ts';
import type { ScsiCommand, ScsiOutcome } from './scsi-command.ts';
import { isAfter, nextSerial } from './serial-number.ts';
import { SilenceWatch } from './silence-watch.ts';
import { ScsiTask } from './task.ts';
import { encodeTextPairs } from './text-keys.ts';

const maxInFlight = 64;
const maxRedirections = 3;
const maxTextBytes = 1024 * 1024;

export interface SessionOptions extends LoginOptions {
  portal: Portal;
  /** Six bytes that tell apart the sessions of one initiator name (RFC 7143 §11.12.5). */
  isid: Uint8Array;
  /** Milliseconds for connecting, and for logging in. */
  timeoutMs: number;
  /** Milliseconds after which a target that says nothing is given up. Default: as `timeoutMs`. */
  silenceMs?: number;
  signal?: AbortSignal | undefined;
}

interface Running {
  task: ScsiTask;
  settle: PromiseWithResolvers<ScsiOutcome>;
}

interface Waiting {
  command: ScsiCommand;
  lun: Uint8Array;
  settle: PromiseWithResolvers<ScsiOutcome>;
}

/** A target that is alive, and does not get a command done: the task was aborted there. */
export class CommandTimedOut extends HoldfastError {
  constructor(label: string, timeoutMs: number) {
    super(
      'backend_unavailable',
      `${label} took longer than ${timeoutMs / 1000} s at the iSCSI target, and was aborted.`,
    );
  }
}

/**
 * A session with a target over one connection, error recovery level 0 (RFC 7143 §7.1.5): whatever goes wrong with the
 * connection ends the session, and every command of it fails with the same retryable error.
 */
export class IscsiSession implements AsyncDisposable {
  /** Settles with the reason when the session has ended. Never rejects. */
  readonly closed: Promise<HoldfastError>;
  readonly #portal: Portal;
  readonly #channel: PduChannel;
  readonly #options: SessionOptions;
  readonly #ended = Promise.withResolvers<HoldfastError>();
  readonly #running = new Map<number, Running>();
  readonly #waiting: Waiting[] = [];
  readonly #aborts = new Map<number, PromiseWithResolvers<void>>();
  #endReason: HoldfastError | undefined;
  #login: LoginExchange | undefined;
  #text: { tag: number; parts: Buffer[]; settle: PromiseWithResolvers<Buffer> } | undefined;
  #logout: PromiseWithResolvers<void> | undefined;
  #parameters: SessionParameters | undefined;
  #tag = 0;
  #cmdSn = 1;
  #maxCmdSn = 1;
  #expStatSn = 0;
  #watch: SilenceWatch | undefined;

  private constructor(socket: Socket, options: SessionOptions) {
    this.#options = options;
    this.#portal = options.portal;
    this.closed = this.#ended.promise;
    this.#channel = new PduChannel(socket, {
      onBytes: () => this.#watch?.heard(),
      onPdu: (pdu) => this.#onPdu(pdu),
      onIdle: () => this.#sendWaiting(),
      onGarbage: (error) => this.destroy(error),
      onClosed: (why, cause) => this.#lost(why, cause),
    });
  }

  /**
   * Connects and logs in; follows redirections.
   * @throws HoldfastError `backend_unavailable` (with the field of the configuration where that is at fault), `cancelled`
   */
  static async open(options: SessionOptions): Promise<IscsiSession> {
    let portal = options.portal;
    for (let redirections = 0; ; redirections += 1) {
      const address = await resolvePortal(portal, options.timeoutMs, options.signal);
      const socket = await openConnection(
        { host: address, port: portal.port },
        options.timeoutMs,
        options.signal,
      );
      const session = new IscsiSession(socket, { ...options, portal });
      const moved = await session.#logIn();
      if (moved === undefined) return session;
      session.destroy(
        new HoldfastError('backend_unavailable', 'The iSCSI target has moved to another portal.'),
      );
      if (redirections === maxRedirections) throw garbled('one redirection after another');
      portal = moved;
    }
  }

  /** What was agreed on at login. */
  get parameters(): SessionParameters {
    if (this.#parameters === undefined) throw new Error('The session is not logged in.');
    return this.#parameters;
  }

  get hasEnded(): boolean {
    return this.#endReason !== undefined;
  }

  /** Commands that wait for their end. */
  get inFlight(): number {
    return this.#running.size + this.#waiting.length;
  }

  /**
   * Runs a command; as many at a time as the target takes, at most 64.
   * @param options.timeoutMs after which the task is aborted at the target. Default: none, as long as the target gives signs
   *   of life
   * @throws CommandTimedOut; HoldfastError `backend_unavailable` when the session ends before the command, `cancelled`
   */
  async execute(
    lun: Uint8Array,
    command: ScsiCommand,
    options: { signal?: AbortSignal | undefined; timeoutMs?: number } = {},
  ): Promise<ScsiOutcome> {
    const { signal, timeoutMs } = options;
    throwIfCancelled(signal, command.label);
    if (this.#endReason !== undefined) throw this.#endReason;
    const entry: Waiting = { command, lun, settle: Promise.withResolvers<ScsiOutcome>() };
    if (this.inFlight === 0) this.#watch?.heard();
    this.#waiting.push(entry);
    this.#sendWaiting();
    if (signal === undefined && timeoutMs === undefined) return entry.settle.promise;
    const onAbort = (): void => void this.#abandon(entry, cancellationOf(signal, command.label));
    const onTimeout = (): void =>
      void this.#abandon(entry, new CommandTimedOut(command.label, timeoutMs ?? 0));
    const timer = timeoutMs === undefined ? undefined : setTimeout(onTimeout, timeoutMs).unref();
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      return await entry.settle.promise;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** The text that a discovery session answers `SendTargets=All` with (RFC 7143 appendix C). */
  async sendTargets(): Promise<Buffer> {
    if (this.#endReason !== undefined) throw this.#endReason;
    const settle = Promise.withResolvers<Buffer>();
    this.#watch?.heard();
    this.#text = { tag: this.#newTag(), parts: [], settle };
    this.#sendText(NO_TAG, encodeTextPairs([['SendTargets', 'All']]));
    return settle.promise;
  }

  /** Ends the session at once; its commands fail with the reason. */
  destroy(reason: HoldfastError): void {
    if (this.#endReason !== undefined) return;
    this.#endReason = reason;
    this.#watch?.stop();
    this.#channel.close();
    for (const { settle } of this.#running.values()) settle.reject(reason);
    for (const { settle } of this.#waiting) settle.reject(reason);
    for (const settle of this.#aborts.values()) settle.resolve();
    this.#running.clear();
    this.#waiting.length = 0;
    this.#aborts.clear();
    this.#login?.fail(reason);
    this.#text?.settle.reject(reason);
    this.#logout?.resolve();
    this.#ended.resolve(reason);
  }

  /** Logs out, as far as the target answers, and closes the connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#endReason === undefined && this.#parameters !== undefined) {
      this.#logout = Promise.withResolvers<void>();
      this.#channel.send([logoutRequest({ tag: this.#newTag(), sequence: this.#sequence() })]);
      const timer = setTimeout(() => this.#logout?.resolve(), Math.min(this.#options.timeoutMs, 2000));
      await this.#logout.promise;
      clearTimeout(timer);
    }
    this.destroy(new HoldfastError('backend_unavailable', 'The iSCSI session was closed.'));
  }

  async #logIn(): Promise<Portal | undefined> {
    const { timeoutMs, signal } = this.#options;
    const doing = `Logging in at the iSCSI server ${portalText(this.#portal)}`;
    const timer = setTimeout(() => {
      const text = `${doing} took longer than ${timeoutMs / 1000} s. Check that the server answers.`;
      this.destroy(new HoldfastError('backend_unavailable', text));
    }, timeoutMs);
    const onAbort = (): void => this.destroy(cancellationOf(signal, doing));
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      throwIfCancelled(signal, doing);
      this.#login = new LoginExchange(this.#options, {
        isid: this.#options.isid,
        tag: this.#newTag(),
        sequence: () => this.#sequence(),
        send: (pdus) => this.#channel.send(pdus),
        onAgreed: (parameters, response) => this.#enterFullFeature(parameters, response),
      });
      this.#login.begin();
      return (await this.#login.ended).movedTo;
    } catch (error) {
      const reason = error instanceof HoldfastError ? error : garbled(String(error));
      this.destroy(reason);
      throw reason;
    } finally {
      this.#login = undefined;
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  #enterFullFeature(parameters: SessionParameters, response: LoginResponse): void {
    if (response.tsih === 0) throw garbled('a session without a handle');
    this.#parameters = parameters;
    this.#maxCmdSn = response.maxCmdSn;
    this.#channel.useDigests({ header: parameters.headerDigest, data: parameters.dataDigest });
    this.#startWatch();
  }

  #newTag(): number {
    do this.#tag = nextSerial(this.#tag);
    while (this.#tag === NO_TAG || this.#running.has(this.#tag) || this.#aborts.has(this.#tag));
    return this.#tag;
  }

  #sequence(): SequenceNumbers {
    return { cmdSn: this.#cmdSn, expStatSn: this.#expStatSn };
  }

  /** The numbers of a request that takes its place in the order of commands. */
  #nextInSequence(): SequenceNumbers {
    const sequence = this.#sequence();
    this.#cmdSn = nextSerial(this.#cmdSn);
    return sequence;
  }

  #sendText(targetTag: number, data: Uint8Array): void {
    if (this.#text === undefined) return;
    this.#channel.send([
      textRequest({ tag: this.#text.tag, targetTag, sequence: this.#nextInSequence(), data }),
    ]);
  }

  #sendWaiting(): void {
    while (
      this.#waiting.length > 0 &&
      this.#running.size < maxInFlight &&
      !isAfter(this.#cmdSn, this.#maxCmdSn)
    ) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      const sequence = this.#nextInSequence();
      const task = new ScsiTask(next.command, {
        tag: this.#newTag(),
        cmdSn: sequence.cmdSn,
        lun: next.lun,
        parameters: this.parameters,
      });
      this.#running.set(task.tag, { task, settle: next.settle });
      this.#channel.send(task.begin(sequence));
    }
  }

  /** Gives a command up: aborts its task at the target (RFC 7143 §11.5), so that no data of it comes later. */
  async #abandon(entry: Waiting, reason: HoldfastError): Promise<void> {
    const at = this.#waiting.indexOf(entry);
    if (at >= 0) {
      this.#waiting.splice(at, 1);
      entry.settle.reject(reason);
      return;
    }
    const running = [...this.#running.values()].find(({ settle }) => settle === entry.settle);
    if (running === undefined || this.#endReason !== undefined) return;
    const { task } = running;
    const tag = this.#newTag();
    const aborted = Promise.withResolvers<void>();
    this.#aborts.set(tag, aborted);
    this.#channel.send([
      abortTask({
        lun: entry.lun,
        tag,
        referencedTag: task.tag,
        referencedCmdSn: task.cmdSn,
        sequence: this.#sequence(),
      }),
    ]);
    const timer = setTimeout(() => this.#lost('it does not abort a command'), this.#options.timeoutMs);
    await aborted.promise;
    clearTimeout(timer);
    this.#running.delete(task.tag);
    entry.settle.reject(reason);
    this.#sendWaiting();
  }

  #onPdu(pdu: TargetPdu): void {
    if (pdu.type === 'login-response') {
      if (this.#login === undefined) throw garbled('a login response that nobody waits for');
      this.#expStatSn = nextSerial(pdu.statSn);
      this.#login.onResponse(pdu);
      return;
    }
    if (this.#parameters === undefined) throw garbled('a message before the login has ended');
    this.#count(pdu);
    switch (pdu.type) {
      case 'data-in':
        this.#onTask(pdu.tag, (task) => task.receive(pdu));
        break;
      case 'scsi-response':
        this.#onTask(pdu.tag, (task) => task.end(pdu));
        break;
      case 'r2t':
        this.#channel.send(this.#taskOf(pdu.tag).task.transfer(pdu, this.#expStatSn));
        break;
      case 'nop-in':
        this.#onNop(pdu);
        break;
      case 'task-management-response':
        this.#aborts.get(pdu.tag)?.resolve();
        this.#aborts.delete(pdu.tag);
        break;
      case 'text-response':
        this.#onText(pdu);
        break;
      case 'logout-response':
        this.#logout?.resolve();
        break;
      case 'async-message':
        // 0 reports on a logical unit; 1 to 4 announce the end, or ask for what we do not do (RFC 7143 §11.9).
        if (pdu.event >= 1 && pdu.event <= 4) this.#lost('the target asked for the end of the session');
        break;
      case 'reject':
        this.#lost(`the target rejected a message (reason ${pdu.reason})`);
        break;
    }
  }

  /** Follows the numbers of the target (RFC 7143 §4.2.2). */
  #count(pdu: TargetPdu): void {
    const isStatus =
      pdu.type === 'data-in' ? pdu.status !== undefined : pdu.type !== 'r2t' && !isUnnumbered(pdu);
    if (isStatus) {
      if (pdu.statSn !== this.#expStatSn) throw garbled('a status out of order');
      this.#expStatSn = nextSerial(this.#expStatSn);
    }
    // RFC 7143 §4.2.2.1: a window that is less than empty is ignored, and it never shrinks.
    const isWindow = !isAfter(pdu.expCmdSn, nextSerial(pdu.maxCmdSn));
    if (isWindow && isAfter(pdu.maxCmdSn, this.#maxCmdSn)) this.#maxCmdSn = pdu.maxCmdSn;
  }

  #taskOf(tag: number): Running {
    return this.#running.get(tag) ?? raise(garbled('a message for a command that is not under way'));
  }

  #onTask(tag: number, step: (task: ScsiTask) => ScsiOutcome | undefined): void {
    const { task, settle } = this.#taskOf(tag);
    const outcome = step(task);
    if (outcome === undefined) return;
    this.#running.delete(tag);
    settle.resolve(outcome);
  }

  #onNop(pdu: Extract<TargetPdu, { type: 'nop-in' }>): void {
    if (pdu.targetTag === NO_TAG) return;
    const { lun, targetTag, data } = pdu;
    this.#channel.send([nopOut({ lun, tag: NO_TAG, targetTag, sequence: this.#sequence(), data })]);
  }

  #onText(pdu: Extract<TargetPdu, { type: 'text-response' }>): void {
    if (this.#text?.tag !== pdu.tag) throw garbled('a text that nobody asked for');
    this.#text.parts.push(pdu.data);
    if (this.#text.parts.reduce((sum, part) => sum + part.byteLength, 0) > maxTextBytes)
      throw garbled('a text without an end');
    if (!pdu.final) {
      this.#sendText(pdu.targetTag, new Uint8Array(0));
      return;
    }
    this.#text.settle.resolve(Buffer.concat(this.#text.parts));
    this.#text = undefined;
  }

  #startWatch(): void {
    const { silenceMs = this.#options.timeoutMs } = this.#options;
    this.#watch = new SilenceWatch({
      limitMs: silenceMs,
      isBusy: () => this.inFlight > 0 || this.#text !== undefined || this.#aborts.size > 0,
      ping: () =>
        this.#channel.send([nopOut({ tag: this.#newTag(), targetTag: NO_TAG, sequence: this.#sequence() })]),
      onDead: () => this.#lost(`nothing came for ${silenceMs / 1000} s`),
    });
  }

  #lost(why: string, cause?: unknown): void {
    const text = `The connection to the iSCSI server ${portalText(this.#portal)} was lost: ${why}. Check the server and the network.`;
    this.destroy(new HoldfastError('backend_unavailable', text, { cause }));
  }
}

function isUnnumbered(pdu: TargetPdu): boolean {
  return pdu.type === 'nop-in' && pdu.tag === NO_TAG;
}

function raise(error: Error): never {
  throw error;
}
