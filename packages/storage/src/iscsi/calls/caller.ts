import { throwIfCancelled, unlessCancelled } from '@holdfast/bytes/cancellation';
import { HoldfastError } from '@holdfast/contract/errors';
import type { Socket } from 'node:net';
import type { StorageEntry } from '../../backend.ts';
import { fromWireError, wireError } from '../wire-error.ts';
import { encodeFrame, FrameReader, jsonPayload } from './frames.ts';
import type { Frame, FrameKind } from './frames.ts';
import { askPayload, creditPayload, methods } from './methods.ts';
import type { MethodName, ParamsOf, ResultOf } from './methods.ts';

/** A process that has just been started loads its program first, which a busy machine takes its time for. */
const startingFactor = 4;

/** A call that is under way. */
export interface OngoingCall {
  readonly id: number;
  /** The payload of the answer. */
  readonly answered: Promise<Buffer>;
  /** Called with the bytes that the other side is ready for. */
  onCredit: ((bytes: number) => void) | undefined;
  onAsk: ((existing: StorageEntry | null) => void) | undefined;
}

/** The other process is gone, without a word of why. */
export class ProcessEnded extends HoldfastError {
  constructor() {
    super('backend_unavailable', 'The process that holds the mount has ended. It is started again.');
  }
}

interface Pending extends OngoingCall {
  settle: PromiseWithResolvers<Buffer>;
}

/**
 * The hub's end of the channel to the process that holds a mount. While a call is under way the other side is
 * pinged; when nothing at all comes for `silenceMs` (four times as long before its first word) it counts as dead.
 */
export class Caller {
  /** Settles with the reason when no call is answered any more. Never rejects. */
  readonly closed: Promise<HoldfastError>;
  readonly #socket: Socket;
  readonly #silenceMs: number;
  readonly #closing = Promise.withResolvers<HoldfastError>();
  readonly #pending = new Map<number, Pending>();
  #lastId = 0;
  #closedBy: HoldfastError | undefined;
  #heardAt = 0;
  #hasSpoken = false;
  #watch: NodeJS.Timeout | undefined;

  constructor(socket: Socket, silenceMs: number) {
    this.#socket = socket;
    this.#silenceMs = silenceMs;
    this.closed = this.#closing.promise;
    const frames = new FrameReader();
    socket.on('data', (chunk: Buffer) => {
      this.#heardAt = performance.now();
      this.#hasSpoken = true;
      try {
        for (const frame of frames.push(chunk)) this.#onFrame(frame);
      } catch (error) {
        this.close(
          new HoldfastError('internal', 'The process that holds the mount sent garbage.', { cause: error }),
        );
      }
    });
    const gone = (): void => this.close(new ProcessEnded());
    socket.on('error', gone);
    socket.on('close', gone);
    // Idle, the channel keeps nobody's process alive.
    socket.unref();
  }

  /**
   * Calls a method and waits for its result. A cancelled call is given up at once; the other side ends it by itself.
   * @throws HoldfastError of the other side, `backend_unavailable` when that is gone, `cancelled`
   */
  async call<Name extends MethodName>(
    name: Name,
    params: ParamsOf<Name>,
    options: { signal?: AbortSignal | undefined; label: string },
  ): Promise<ResultOf<Name>> {
    return resultOf(name, await this.callForBytes(name, params, options));
  }

  /** The result of a call that was begun. */
  async finish<Name extends MethodName>(name: Name, call: OngoingCall): Promise<ResultOf<Name>> {
    return resultOf(name, await call.answered);
  }

  /** As `call`, for an answer of bytes. */
  async callForBytes<Name extends MethodName>(
    name: Name,
    params: ParamsOf<Name>,
    { signal, label }: { signal?: AbortSignal | undefined; label: string },
  ): Promise<Buffer> {
    throwIfCancelled(signal, label);
    const call = this.begin(name, params);
    const cancel = (): void => void this.send('cancel', call.id);
    signal?.addEventListener('abort', cancel, { once: true });
    try {
      return await unlessCancelled(signal, label, () => call.answered);
    } finally {
      signal?.removeEventListener('abort', cancel);
    }
  }

  /** Starts a call whose progress the caller follows itself. */
  begin<Name extends MethodName>(name: Name, params: ParamsOf<Name>): OngoingCall {
    const settle = Promise.withResolvers<Buffer>();
    this.#lastId = (this.#lastId % 0xffff_ffff) + 1;
    const pending: Pending = {
      id: this.#lastId,
      settle,
      answered: settle.promise,
      onCredit: undefined,
      onAsk: undefined,
    };
    if (this.#closedBy !== undefined) {
      settle.reject(this.#closedBy);
      return pending;
    }
    this.#pending.set(pending.id, pending);
    this.#keepWatch();
    void this.send('call', pending.id, jsonPayload({ method: name, params }));
    return pending;
  }

  /** Sends a frame of a call. Resolves when the channel has room for more. */
  async send(kind: FrameKind, call: number, payload?: Uint8Array): Promise<void> {
    if (this.#closedBy !== undefined) return;
    const frame = encodeFrame(kind, call, payload);
    await new Promise<void>((resolve) => {
      this.#socket.write(frame, () => resolve());
    });
  }

  /** Ends every call with a reason, and the channel: the other side goes down by itself. */
  close(reason: HoldfastError): void {
    if (this.#closedBy !== undefined) return;
    this.#closedBy = reason;
    clearInterval(this.#watch);
    this.#socket.destroy();
    for (const { settle } of this.#pending.values()) settle.reject(reason);
    this.#pending.clear();
    this.#closing.resolve(reason);
  }

  #onFrame({ kind, call, payload }: Frame): void {
    if (kind === 'lost') {
      this.close(fromWireError(wireError.parse(parseJson(payload))));
      return;
    }
    const pending = this.#pending.get(call);
    // Else an answer to a call that was given up.
    if (pending === undefined) return;
    switch (kind) {
      case 'result':
        this.#end(call);
        pending.settle.resolve(payload);
        break;
      case 'failure':
        this.#end(call);
        pending.settle.reject(fromWireError(wireError.parse(parseJson(payload))));
        break;
      case 'credit':
        pending.onCredit?.(creditPayload.parse(parseJson(payload)).bytes);
        break;
      case 'ask':
        pending.onAsk?.(askPayload.parse(parseJson(payload)));
        break;
      default:
        break;
    }
  }

  #end(call: number): void {
    this.#pending.delete(call);
    if (this.#pending.size > 0) return;
    clearInterval(this.#watch);
    this.#watch = undefined;
    this.#socket.unref();
  }

  #keepWatch(): void {
    if (this.#watch !== undefined) return;
    this.#socket.ref();
    this.#heardAt = performance.now();
    this.#watch = setInterval(() => {
      const patienceMs = this.#silenceMs * (this.#hasSpoken ? 1 : startingFactor);
      if (performance.now() - this.#heardAt <= patienceMs) {
        void this.send('ping', 0);
        return;
      }
      const text = `The process that holds the mount has not answered for ${patienceMs / 1000} s. It is started again.`;
      this.close(new HoldfastError('backend_unavailable', text));
    }, this.#silenceMs / 8);
  }
}

function resultOf<Name extends MethodName>(name: Name, payload: Buffer): ResultOf<Name>;
function resultOf(name: MethodName, payload: Buffer): unknown {
  return methods[name].result.parse(parseJson(payload));
}

function parseJson(payload: Buffer): unknown {
  return JSON.parse(payload.toString());
}
