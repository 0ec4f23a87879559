import { cancellationOf, throwIfCancelled } from '@holdfast/bytes/cancellation';
import { HoldfastError } from '@holdfast/contract/errors';
import type { Socket } from 'node:net';
import { CommandQueue } from './command-queue.ts';
import type { CommandOptions } from './command-queue.ts';
import { openConnection, portalText, resolvePortal } from './connection.ts';
import type { Portal } from './connection.ts';
import { LoginExchange } from './login-exchange.ts';
import type { LoginOptions, LoginResponse } from './login.ts';
import type { SessionParameters } from './negotiation.ts';
import { garbled, logoutRequest, NO_TAG, nopOut } from './pdu.ts';
import type { TargetPdu } from './pdu.ts';
import { PduChannel } from './pdu-channel.ts';
import type { ScsiCommand, ScsiOutcome } from './scsi-command.ts';
import { nextSerial } from './serial-number.ts';
import { SessionNumbers } from './session-numbers.ts';
import { SilenceWatch } from './silence-watch.ts';
import { TextExchange } from './text-exchange.ts';

const maxRedirections = 3;

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
  readonly #numbers = new SessionNumbers();
  readonly #commands: CommandQueue;
  #endReason: HoldfastError | undefined;
  #login: LoginExchange | undefined;
  #text: TextExchange | undefined;
  #logout: PromiseWithResolvers<void> | undefined;
  #parameters: SessionParameters | undefined;
  #tag = 0;
  #watch: SilenceWatch | undefined;

  private constructor(socket: Socket, options: SessionOptions) {
    this.#options = options;
    this.#portal = options.portal;
    this.closed = this.#ended.promise;
    this.#channel = new PduChannel(socket, {
      onBytes: () => this.#watch?.heard(),
      onPdu: (pdu) => this.#onPdu(pdu),
      onIdle: () => this.#commands.sendWaiting(),
      onGarbage: (error) => this.destroy(error),
      onClosed: (why, cause) => this.#lost(why, cause),
    });
    this.#commands = new CommandQueue({
      numbers: this.#numbers,
      newTag: () => this.#newTag(),
      send: (pdus) => this.#channel.send(pdus),
      parameters: () => this.parameters,
      abortMs: options.timeoutMs,
      onLost: (why) => this.#lost(why),
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
    return this.#commands.inFlight;
  }

  /**
   * Runs a command; as many at a time as the target takes, at most 64.
   * @param options.timeoutMs after which the task is aborted at the target. Default: none, as long as the target gives signs
   *   of life
   * @throws CommandTimedOut; HoldfastError `backend_unavailable` when the session ends before the command, `cancelled`
   */
  async execute(lun: Uint8Array, command: ScsiCommand, options: CommandOptions = {}): Promise<ScsiOutcome> {
    throwIfCancelled(options.signal, command.label);
    if (this.#endReason !== undefined) throw this.#endReason;
    if (this.inFlight === 0) this.#watch?.heard();
    return this.#commands.execute(lun, command, options);
  }

  /** The text that a discovery session answers `SendTargets=All` with (RFC 7143 appendix C). */
  async sendTargets(): Promise<Buffer> {
    if (this.#endReason !== undefined) throw this.#endReason;
    this.#watch?.heard();
    this.#text = new TextExchange({
      tag: this.#newTag(),
      numbers: this.#numbers,
      send: (pdus) => this.#channel.send(pdus),
    });
    this.#text.ask('SendTargets', 'All');
    return this.#text.answer;
  }

  /** Ends the session at once; its commands fail with the reason. */
  destroy(reason: HoldfastError): void {
    if (this.#endReason !== undefined) return;
    this.#endReason = reason;
    this.#watch?.stop();
    this.#channel.close();
    this.#commands.fail(reason);
    this.#login?.fail(reason);
    this.#text?.fail(reason);
    this.#logout?.resolve();
    this.#ended.resolve(reason);
  }

  /** Logs out, as far as the target answers, and closes the connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#endReason === undefined && this.#parameters !== undefined) {
      this.#logout = Promise.withResolvers<void>();
      this.#channel.send([logoutRequest({ tag: this.#newTag(), sequence: this.#numbers.current() })]);
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
        sequence: () => this.#numbers.current(),
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
    this.#numbers.openWindow(response.maxCmdSn);
    this.#channel.useDigests({ header: parameters.headerDigest, data: parameters.dataDigest });
    this.#startWatch();
  }

  #newTag(): number {
    do this.#tag = nextSerial(this.#tag);
    while (this.#tag === NO_TAG || this.#commands.usesTag(this.#tag));
    return this.#tag;
  }

  #onPdu(pdu: TargetPdu): void {
    if (pdu.type === 'login-response') {
      if (this.#login === undefined) throw garbled('a login response that nobody waits for');
      this.#numbers.followLogin(pdu.statSn);
      this.#login.onResponse(pdu);
      return;
    }
    if (this.#parameters === undefined) throw garbled('a message before the login has ended');
    this.#numbers.follow(pdu);
    switch (pdu.type) {
      case 'data-in':
      case 'scsi-response':
      case 'r2t':
        this.#commands.receive(pdu);
        break;
      case 'nop-in':
        this.#onNop(pdu);
        break;
      case 'task-management-response':
        this.#commands.receiveAbort(pdu.tag);
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

  #onNop(pdu: Extract<TargetPdu, { type: 'nop-in' }>): void {
    if (pdu.targetTag === NO_TAG) return;
    const { lun, targetTag, data } = pdu;
    this.#channel.send([nopOut({ lun, tag: NO_TAG, targetTag, sequence: this.#numbers.current(), data })]);
  }

  #onText(pdu: Extract<TargetPdu, { type: 'text-response' }>): void {
    if (this.#text === undefined) throw garbled('a text that nobody asked for');
    if (this.#text.receive(pdu)) this.#text = undefined;
  }

  #startWatch(): void {
    const { silenceMs = this.#options.timeoutMs } = this.#options;
    this.#watch = new SilenceWatch({
      limitMs: silenceMs,
      isBusy: () => this.#commands.isBusy || this.#text !== undefined,
      ping: () =>
        this.#channel.send([
          nopOut({ tag: this.#newTag(), targetTag: NO_TAG, sequence: this.#numbers.current() }),
        ]),
      onDead: () => this.#lost(`nothing came for ${silenceMs / 1000} s`),
    });
  }

  #lost(why: string, cause?: unknown): void {
    const text = `The connection to the iSCSI server ${portalText(this.#portal)} was lost: ${why}. Check the server and the network.`;
    this.destroy(new HoldfastError('backend_unavailable', text, { cause }));
  }
}
