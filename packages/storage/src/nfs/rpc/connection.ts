import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { GarbledReply } from '../xdr/garbled.ts';
import { parseReply, renderCall, xidOf } from './message.ts';
import type { RpcCredential, RpcReply, RpcRequest } from './message.ts';
import { RecordAssembler } from './record-assembler.ts';

/** Larger than the largest reply there can be: 1 MiB of file and what is said about it. */
const MAX_RECORD_BYTES = 4 * 1024 * 1024;
const KEEP_ALIVE_MS = 10_000;

export interface ConnectionOptions {
  host: string;
  port: number;
  /** The port to call from, for servers that want a privileged one. Default: any. */
  localPort?: number | undefined;
  credential: RpcCredential;
  /** Milliseconds in which nothing moves before the server counts as dead; also of connecting. */
  stallMs: number;
  /** Called when an answer has come. */
  onAlive?: () => void;
}

/** The connection is gone, and with it the answers to what was sent. Whether it was done is not known. */
export class ConnectionLost extends Error {
  override readonly name = 'ConnectionLost';
}

/** No connection could be made. `code` is the system's (ECONNREFUSED). */
export class ConnectFailed extends Error {
  override readonly name = 'ConnectFailed';
  readonly code: string;

  constructor(code: string, options: { cause: unknown }) {
    super(`connecting failed (${code})`, options);
    this.code = code;
  }
}

interface PendingCall {
  resolve: (reply: RpcReply) => void;
  reject: (error: ConnectionLost) => void;
  replyBuffer: Buffer | undefined;
}

/**
 * One TCP connection to an RPC server, with any number of calls under way. It keeps the process alive only while an
 * answer is awaited. After a failure it stays closed: whoever owns it makes another one.
 */
export class RpcConnection implements AsyncDisposable {
  readonly #socket: Socket;
  readonly #options: ConnectionOptions;
  readonly #pending = new Map<number, PendingCall>();
  readonly #stallTimer: NodeJS.Timeout;
  // Not from zero, so that a server with a cache of replies does not take us for the connection before.
  #nextXid = Math.floor(Math.random() * 0x1_0000_0000);
  #lost: ConnectionLost | undefined;

  private constructor(options: ConnectionOptions, socket: Socket) {
    this.#options = options;
    this.#socket = socket;
    this.#stallTimer = setTimeout(() => this.#onStall(), options.stallMs).unref();
    socket.on('error', (error) => this.#fail('the connection broke', error));
    socket.on('close', () => this.#fail('the connection was closed'));
    socket.unref();
  }

  /** @throws ConnectFailed */
  static open(options: ConnectionOptions): Promise<RpcConnection> {
    return new Promise((resolve, reject) => {
      const assembler: RecordAssembler = new RecordAssembler({
        maxRecordBytes: MAX_RECORD_BYTES,
        onRecord: (record) => {
          if (connection !== undefined) connection.#receive(record);
        },
        bufferFor: (xid) => (connection === undefined ? undefined : connection.#bufferFor(xid)),
      });
      const socket = connect({
        host: options.host,
        port: options.port,
        ...(options.localPort === undefined ? {} : { localPort: options.localPort }),
        noDelay: true,
        keepAlive: true,
        keepAliveInitialDelay: KEEP_ALIVE_MS,
        onread: {
          buffer: () => assembler.target(),
          callback: (bytes) => {
            try {
              assembler.advance(bytes);
            } catch (error) {
              if (connection !== undefined) connection.#distrust(error);
            }
            return true;
          },
        },
      });
      let connection: RpcConnection | undefined;
      const fail = (code: string, cause: unknown): void => {
        clearTimeout(timer);
        socket.destroy();
        reject(new ConnectFailed(code, { cause }));
      };
      const timer = setTimeout(() => fail('ETIMEDOUT', undefined), options.stallMs);
      const onError = (error: NodeJS.ErrnoException): void => fail(error.code ?? error.message, error);
      socket.once('error', onError);
      socket.once('connect', () => {
        clearTimeout(timer);
        socket.off('error', onError);
        connection = new RpcConnection(options, socket);
        resolve(connection);
      });
    });
  }

  /** False once it is of no use any more. */
  get isOpen(): boolean {
    return this.#lost === undefined;
  }

  /** Sends a call. @throws ConnectionLost; every reply that can be read is a result, whatever it says */
  call(request: RpcRequest): Promise<RpcReply> {
    if (this.#lost !== undefined) return Promise.reject(this.#lost);
    const xid = this.#takeXid();
    return new Promise((resolve, reject) => {
      if (this.#pending.size === 0) {
        this.#socket.ref();
        this.#stallTimer.ref().refresh();
      }
      this.#pending.set(xid, { resolve, reject, replyBuffer: request.replyBuffer });
      const segments = renderCall(xid, this.#options.credential, request);
      this.#socket.cork();
      for (const [index, segment] of segments.entries()) {
        // Bytes that go out count as a sign of life too: a megabyte can be long on its way.
        const isLast = index === segments.length - 1;
        this.#socket.write(segment, isLast ? () => this.#touch() : undefined);
      }
      this.#socket.uncork();
    });
  }

  /** Closes at once; calls under way fail with ConnectionLost. */
  close(reason = 'the connection was given up'): void {
    this.#fail(reason);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  /** The buffer that the caller of an xid wants its reply in. */
  #bufferFor(xid: number): Buffer | undefined {
    return this.#pending.get(xid)?.replyBuffer;
  }

  #receive(record: Buffer): void {
    const xid = xidOf(record);
    const call = this.#pending.get(xid);
    // On a stream nothing is lost or doubled: an unknown xid means that either number was changed on its way.
    if (call === undefined) throw new GarbledReply(`nobody asked for ${xid}`);
    const reply = parseReply(record);
    this.#pending.delete(xid);
    this.#options.onAlive?.();
    this.#touch();
    if (this.#pending.size === 0) {
      this.#stallTimer.unref();
      this.#socket.unref();
    }
    call.resolve(reply);
  }

  #distrust(error: unknown): void {
    this.#fail('what came over the connection was garbled', error);
  }

  #touch(): void {
    if (this.#lost === undefined) this.#stallTimer.refresh();
  }

  #onStall(): void {
    if (this.#pending.size > 0) this.#fail(`nothing came for ${this.#options.stallMs} ms`);
  }

  #takeXid(): number {
    do this.#nextXid = (this.#nextXid + 1) % 0x1_0000_0000;
    while (this.#pending.has(this.#nextXid));
    return this.#nextXid;
  }

  #fail(reason: string, cause?: unknown): void {
    if (this.#lost !== undefined) return;
    const lost = new ConnectionLost(reason, cause === undefined ? undefined : { cause });
    this.#lost = lost;
    clearTimeout(this.#stallTimer);
    // A reset leaves no TIME_WAIT behind, which would keep a fixed local port from being used again.
    this.#socket.resetAndDestroy();
    const calls = [...this.#pending.values()];
    this.#pending.clear();
    for (const call of calls) call.reject(lost);
  }
}
