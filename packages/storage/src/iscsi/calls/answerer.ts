import { HoldfastError } from '@holdfast/contract/errors';
import type { Socket } from 'node:net';
import type { StorageEntry } from '../../backend.ts';
import { toWireError } from '../wire-error.ts';
import { encodeFrame, FrameReader, jsonPayload } from './frames.ts';
import type { Frame, FrameKind } from './frames.ts';
import { answerPayload, callPayload, methods, toWireEntry } from './methods.ts';
import type { MethodName, ParamsOf } from './methods.ts';

/** Bytes of a source that may be on their way. */
const windowBytes = 4 * 1024 * 1024;

/** What a handler has of its call besides the parameters. */
export interface CallContext {
  signal: AbortSignal;
  /** The bytes that the caller sends along; nothing is asked for before the first is wanted. */
  source: AsyncIterable<Uint8Array>;
  /** Asks the caller whether to go on. @throws HoldfastError `precondition_failed` when it says no */
  ask: (existing: StorageEntry | null) => Promise<void>;
}

/** A handler a method. The result goes back as JSON, or as it is when it is bytes. */
export type Handlers = { [Name in MethodName]: Handler<Name> };

type Handler<Name extends MethodName> = (params: ParamsOf<Name>, context: CallContext) => Promise<unknown>;

class IncomingCall {
  readonly controller = new AbortController();
  readonly #tell: (kind: FrameKind, payload: Buffer) => void;
  readonly #chunks: Buffer[] = [];
  #hasEnded = false;
  #isOpen = false;
  #wake: (() => void) | undefined;
  #answer: PromiseWithResolvers<boolean> | undefined;

  constructor(tell: (kind: FrameKind, payload: Buffer) => void) {
    this.#tell = tell;
  }

  take(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#wake?.();
  }

  end(): void {
    this.#hasEnded = true;
    this.#wake?.();
  }

  cancel(): void {
    this.controller.abort();
    this.#answer?.resolve(false);
    this.#wake?.();
  }

  answer(go: boolean): void {
    this.#answer?.resolve(go);
  }

  async ask(existing: StorageEntry | null): Promise<void> {
    this.#answer = Promise.withResolvers<boolean>();
    this.#tell('ask', jsonPayload(existing === null ? null : toWireEntry(existing)));
    if (await this.#answer.promise) return;
    throw new HoldfastError('precondition_failed', 'The one who writes has called it off.');
  }

  async *source(): AsyncGenerator<Uint8Array> {
    if (!this.#isOpen) this.#credit(windowBytes);
    this.#isOpen = true;
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) {
        yield chunk;
        this.#credit(chunk.byteLength);
        continue;
      }
      if (this.#hasEnded) return;
      // The reader of this source follows the signal of the call by itself, and does not wait for a stuck one.
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #credit(bytes: number): void {
    this.#tell('credit', jsonPayload({ bytes }));
  }
}

/** The far end of the channel: takes calls, runs them side by side, answers. */
export class Answerer {
  /** Settles when the caller is gone. Never rejects. */
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  readonly #handlers: Handlers;
  readonly #onFailure: (error: unknown) => Promise<void>;
  readonly #calls = new Map<number, IncomingCall>();
  readonly #running = new Set<Promise<void>>();

  /** @param onFailure called with the error of a call before the caller is told */
  constructor(
    socket: Socket,
    handlers: Handlers,
    onFailure: (error: unknown) => Promise<void> = async () => {},
  ) {
    this.#socket = socket;
    this.#onFailure = onFailure;
    this.#handlers = handlers;
    const frames = new FrameReader();
    this.closed = new Promise((resolve) => {
      const end = (): void => resolve();
      socket.on('close', end);
      socket.on('end', end);
      socket.on('error', end);
    });
    socket.on('data', (chunk: Buffer) => {
      for (const frame of frames.push(chunk)) this.#onFrame(frame);
    });
  }

  /** Tells the caller that no call will be answered any more, and why. */
  lose(error: HoldfastError): void {
    this.#tell('lost', 0, jsonPayload(toWireError(error)));
  }

  /** Calls off what is under way, and waits until it has ended. */
  async drain(): Promise<void> {
    for (const call of this.#calls.values()) call.cancel();
    await Promise.all(this.#running);
  }

  #onFrame({ kind, call: id, payload }: Frame): void {
    if (kind === 'ping') {
      this.#tell('pong', 0);
      return;
    }
    if (kind === 'call') {
      const running = this.#run(id, payload).finally(() => this.#running.delete(running));
      this.#running.add(running);
      return;
    }
    const call = this.#calls.get(id);
    if (kind === 'bytes') call?.take(payload);
    else if (kind === 'end') call?.end();
    else if (kind === 'cancel') call?.cancel();
    else if (kind === 'answer') call?.answer(answerPayload.parse(JSON.parse(payload.toString())).go);
  }

  async #run(id: number, payload: Buffer): Promise<void> {
    const call = new IncomingCall((kind, bytes) => this.#tell(kind, id, bytes));
    this.#calls.set(id, call);
    try {
      const { method, params } = callPayload.parse(JSON.parse(payload.toString()));
      const context: CallContext = {
        signal: call.controller.signal,
        source: { [Symbol.asyncIterator]: () => call.source() },
        ask: (existing) => call.ask(existing),
      };
      const result = await handlerOf(this.#handlers, method)(paramsOf(method, params), context);
      this.#tell('result', id, Buffer.isBuffer(result) ? result : jsonPayload(result));
    } catch (error) {
      await this.#onFailure(error);
      this.#tell('failure', id, jsonPayload(toWireError(error)));
    } finally {
      this.#calls.delete(id);
    }
  }

  #tell(kind: FrameKind, call: number, payload?: Buffer): void {
    if (this.#socket.writable) this.#socket.write(encodeFrame(kind, call, payload));
  }
}

function handlerOf<Name extends MethodName>(handlers: Handlers, name: Name): Handler<Name> {
  return handlers[name];
}

function paramsOf<Name extends MethodName>(name: Name, value: unknown): ParamsOf<Name>;
function paramsOf(name: MethodName, value: unknown): unknown {
  return methods[name].params.parse(value);
}
