import type { Socket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import type { AddressInfo } from 'node:net';
import { HoldfastError } from '@holdfast/contract/errors';
import { Admission } from './admission.ts';
import { bindSocket, type Client, ownEndpoint, sharedEndpoint } from './endpoint.ts';
import { asHoldfastError, errorReply } from './error-reply.ts';
import { FeedBuffers } from './feed-buffers.ts';
import { transferMode } from './options.ts';
import { encodeError, errorCodes, opcodes, parsePacket, type RequestPacket } from './packets.ts';
import { RunningSession } from './running-session.ts';
import {
  completeLimits,
  type TftpLimits,
  type TftpServerOptions,
  type TftpSessionView,
} from './server-options.ts';

/** A running server. Disposing closes it at once. */
export interface TftpServer extends AsyncDisposable {
  /** Where it listens. */
  readonly address: { host: string; port: number };
  /** The transfers under way. */
  sessions(): TftpSessionView[];
  /**
   * Takes no further requests, lets running transfers go on for up to `graceMs` milliseconds (default 0), ends the
   * rest with an error to the client, and closes all ports. Resolves when every file is closed.
   */
  close(options?: { graceMs?: number }): Promise<void>;
}

/**
 * Starts a read-only TFTP server (RFC 1350, 2347, 2348, 2349, 7440).
 * @throws HoldfastError `conflict` when the port is taken, `forbidden` when it needs more rights, `invalid_request`
 * when the address is not one of this machine; RangeError for impossible limits.
 */
export async function createTftpServer(options: TftpServerOptions): Promise<TftpServer> {
  const limits = completeLimits(options.limits);
  const { host, port } = options;
  try {
    const { address } = await lookup(host);
    const socket = await bindSocket(address, port);
    return new DatagramServer(options, limits, socket);
  } catch (error) {
    throw listenError(error, host, port);
  }
}

class DatagramServer implements TftpServer {
  readonly address: { host: string; port: number };
  readonly #options: TftpServerOptions;
  readonly #limits: TftpLimits;
  readonly #socket: Socket;
  readonly #buffers: FeedBuffers;
  readonly #admission: Admission<RunningSession>;
  #closing: Promise<void> | undefined;
  #whenEmpty: (() => void) | undefined;

  constructor(options: TftpServerOptions, limits: TftpLimits, socket: Socket) {
    this.#options = options;
    this.#limits = limits;
    this.#socket = socket;
    this.#buffers = new FeedBuffers(limits.maxBufferBytes);
    this.#admission = new Admission(limits);
    const { address, port }: AddressInfo = socket.address();
    this.address = { host: address, port };
    socket.on('message', (packet, from) => this.#receive(packet, from));
    socket.on('error', (error) => {
      this.#problem(new HoldfastError('internal', 'The TFTP socket reported an error.', { cause: error }));
    });
  }

  sessions(): TftpSessionView[] {
    return [...this.#admission.sessions()].flatMap((session) => session.view() ?? []);
  }

  async close(options: { graceMs?: number } = {}): Promise<void> {
    this.#closing ??= this.#shutDown(options.graceMs ?? 0);
    await this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #shutDown(graceMs: number): Promise<void> {
    const empty = Promise.withResolvers<void>();
    this.#whenEmpty = empty.resolve;
    if (this.#admission.size === 0) empty.resolve();
    const timer = setTimeout(() => {
      const error = new HoldfastError('shutting_down', 'The server is shutting down. Ask again in a moment.');
      for (const session of [...this.#admission.sessions()]) session.fail(error);
    }, graceMs);
    await empty.promise;
    clearTimeout(timer);
    await new Promise<void>((resolve) => {
      this.#socket.close(resolve);
    });
  }

  #receive(packet: Buffer, from: Client): void {
    const session = this.#admission.find(from);
    const isRequest =
      packet.length >= 2 && packet[0] === 0 && (packet[1] === opcodes.read || packet[1] === opcodes.write);
    if (!isRequest) {
      // With a port for each transfer, nothing but requests has any business here.
      if (this.#options.singlePort === true) session?.receive(packet);
      return;
    }
    const parsed = parsePacket(packet);
    if (parsed.kind === 'read')
      this.#request(parsed, packet, { address: from.address, port: from.port }, session);
    else if (parsed.kind === 'write') {
      const message = 'This server is read-only: files cannot be written by TFTP.';
      this.#refuse(parsed.filename, from, new HoldfastError('forbidden', message));
    } else if (parsed.kind === 'malformed') {
      const error = new HoldfastError('invalid_request', parsed.reason);
      this.#refuse('', from, error, errorCodes.illegalOperation);
    }
  }

  #request(
    request: RequestPacket,
    packet: Buffer,
    client: Client,
    existing: RunningSession | undefined,
  ): void {
    const { filename } = request;
    if (this.#closing !== undefined) {
      this.#refuse(filename, client, new HoldfastError('shutting_down', 'The server is shutting down.'));
      return;
    }
    const mode = transferMode(request.mode);
    if (mode === undefined) {
      const error = new HoldfastError('not_supported', 'Only the modes octet and netascii are served.');
      this.#refuse(filename, client, error, errorCodes.illegalOperation);
      return;
    }
    // A repeated request does not start a second transfer; one by a client that started over ends the first.
    if (existing !== undefined && !existing.yieldsTo(packet)) return;
    const refusal = this.#admission.check(client);
    if (refusal !== undefined) {
      this.#options.hooks?.refused?.({ path: filename, client }, refusal, false);
      return;
    }
    const session = new RunningSession({
      request: { path: filename, mode, client },
      packet,
      asked: request.options,
      limits: this.#limits,
      buffers: this.#buffers,
      open: (wanted) => this.#options.open(wanted),
      connect: (onPacket, onError) =>
        this.#options.singlePort === true
          ? Promise.resolve(sharedEndpoint(this.#socket, client))
          : ownEndpoint({ host: this.#socket.address().address, client, onPacket, onError }),
      onStarted: (view) => this.#options.hooks?.started?.(view),
      onEnded: (view, outcome, error) => this.#options.hooks?.ended?.(view, outcome, error),
      onRefused: (error) => this.#refuse(filename, client, error),
      onProblem: (error) => this.#problem(error),
      // Its port is free for the client's next request before its file is closed.
      onGone: (again) => {
        this.#admission.leave(client, session);
        if (again !== undefined && this.#closing === undefined) this.#receive(again, client);
      },
      onClosed: () => {
        this.#admission.closed(session);
        if (this.#admission.size === 0) this.#whenEmpty?.();
      },
    });
    this.#admission.enter(client, session);
    void session.run();
  }

  /** One small packet for one small packet: nothing to amplify. */
  #refuse(path: string, client: Client, error: HoldfastError, code = errorReply(error).code): void {
    this.#socket.send(encodeError(code, error.message), client.port, client.address, (failure) => {
      if (failure) this.#problem(asHoldfastError(failure, 'An error could not be sent to a TFTP client.'));
    });
    this.#options.hooks?.refused?.({ path, client }, error, true);
  }

  #problem(error: HoldfastError): void {
    this.#options.hooks?.problem?.(error);
  }
}

function listenError(error: unknown, host: string, port: number): HoldfastError {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  const place = `UDP port ${port} of ${host}`;
  if (code === 'EADDRINUSE') {
    return new HoldfastError('conflict', `${place} is taken by another program. Choose another port.`, {
      cause: error,
    });
  }
  if (code === 'EACCES' || code === 'EPERM') {
    const advice = 'Ports below 1024 need root or the capability CAP_NET_BIND_SERVICE.';
    return new HoldfastError('forbidden', `${place} may not be used. ${advice}`, { cause: error });
  }
  return new HoldfastError('invalid_request', `${place} cannot be listened on. Check the address.`, {
    cause: error,
  });
}
