import { HoldfastError } from '@holdfast/contract/errors';
import type { Client, Endpoint } from './endpoint.ts';
import { asHoldfastError } from './error-reply.ts';
import type { FeedBuffers } from './feed-buffers.ts';
import { netasciiSource } from './netascii-source.ts';
import { type Negotiated, negotiate, type TransferMode } from './options.ts';
import type { TftpOption } from './packets.ts';
import type { TftpLimits, TftpRequest, TftpSessionView } from './server-options.ts';
import type { TftpSource, TransferOutcome } from './source.ts';
import { Transfer } from './transfer.ts';

export interface RunningSessionOptions {
  request: { path: string; mode: TransferMode; client: Client };
  /** The datagram of the request, to know a repetition by. */
  packet: Buffer;
  asked: readonly TftpOption[];
  limits: TftpLimits;
  buffers: FeedBuffers;
  open: (request: TftpRequest) => Promise<TftpSource>;
  connect: (onPacket: (packet: Uint8Array) => void, onError: (error: Error) => void) => Promise<Endpoint>;
  onStarted: (view: TftpSessionView) => void;
  onEnded: (view: TftpSessionView, outcome: TransferOutcome, error: HoldfastError | undefined) => void;
  /** It ended before it was a transfer. */
  onRefused: (error: HoldfastError) => void;
  onProblem: (error: HoldfastError) => void;
  /** The client is free to ask again; `again` is a request of its own that was kept back until now. */
  onGone: (again: Buffer | undefined) => void;
  /** Everything is given back. */
  onClosed: () => void;
}

let lastId = 0;

/** One request from its datagram to the closed file: opens, negotiates, transfers. */
export class RunningSession {
  readonly #options: RunningSessionOptions;
  readonly #id = (lastId += 1);
  readonly #startedAt = new Date();
  readonly #opening = new AbortController();
  #agreed: Negotiated | undefined;
  #size: number | null = null;
  #transfer: Transfer | undefined;
  /** A repetition of the request that came while it was under way. */
  #again: Buffer | undefined;

  constructor(options: RunningSessionOptions) {
    this.#options = options;
  }

  /** The transfer as it is now; undefined before the file is open. */
  view(): TftpSessionView | undefined {
    if (this.#agreed === undefined) return undefined;
    const { blksize, windowsize } = this.#agreed;
    const delivered = this.#transfer?.delivered ?? 0;
    const { path, mode, client } = this.#options.request;
    const startedAt = this.#startedAt;
    return { id: this.#id, client, path, mode, size: this.#size, blksize, windowsize, delivered, startedAt };
  }

  receive(packet: Uint8Array): void {
    this.#transfer?.receive(packet);
  }

  /** Ends it with an error to the client. */
  fail(error: HoldfastError): void {
    this.#opening.abort(error);
    this.#transfer?.fail(error);
  }

  /**
   * The client has sent a request while this one is under way. True when it has started over, which ends this one:
   * it asks for something else, or for the same after it stopped answering in the middle. Otherwise it is a
   * repetition, and is kept in case that the client is about to give this one up: OVMF asks again right after the
   * error that ends its size probe, and the two packets may come in either order.
   */
  yieldsTo(packet: Buffer): boolean {
    const transfer = this.#transfer;
    const same = packet.equals(this.#options.packet);
    if (same && !(transfer?.answered === true && transfer.stalled)) {
      this.#again = packet;
      return false;
    }
    this.#again = undefined;
    const reason = 'The client has started over with a new request.';
    this.#opening.abort(new HoldfastError('cancelled', reason));
    transfer?.clientGone(reason);
    return true;
  }

  /** Runs to the end. Never rejects. */
  async run(): Promise<void> {
    const { request } = this.#options;
    const { signal } = this.#opening;
    const timer = setTimeout(() => this.#opening.abort(tooSlow()), this.#options.limits.supplyTimeoutMs);
    let source: TftpSource | undefined;
    try {
      const opened = await this.#open();
      source = request.mode === 'netascii' ? netasciiSource(opened) : opened;
      signal.throwIfAborted();
      const agreed = negotiate(this.#options.asked, source.size, this.#options.limits);
      const endpoint = await this.#options.connect(
        (packet) => this.receive(packet),
        (error) => this.#transfer?.socketError(error),
      );
      if (signal.aborted) endpoint.close();
      signal.throwIfAborted();
      this.#start(source, agreed, endpoint);
    } catch (error) {
      await this.#refuse(error, source);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Opens the file. When that is given up, a file that opens too late is closed at once. */
  async #open(): Promise<TftpSource> {
    const { request, open, onProblem } = this.#options;
    const { signal } = this.#opening;
    const aborted = Promise.withResolvers<never>();
    const onAbort = (): void => aborted.reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    const opening = open({ ...request, signal });
    try {
      return await Promise.race([opening, aborted.promise]);
    } catch (error) {
      if (signal.aborted) {
        opening
          .then((late) => late.close('aborted', asHoldfastError(error, 'The request was given up.')))
          .catch((failure: unknown) => {
            if (failure !== error)
              onProblem(asHoldfastError(failure, 'A file could not be opened or closed.'));
          });
      }
      throw error;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  #start(source: TftpSource, agreed: Negotiated, endpoint: Endpoint): void {
    const { limits, buffers, onProblem } = this.#options;
    this.#agreed = agreed;
    this.#size = source.size;
    this.#transfer = new Transfer({
      source,
      agreed,
      limits,
      timeoutMs: limits.timeoutMs,
      buffers,
      endpoint,
      onEnd: (outcome, error) => {
        const view = this.view();
        // A request that was repeated long before the end is answered by the transfer itself.
        this.#options.onGone(outcome === 'probed' || outcome === 'aborted' ? this.#again : undefined);
        if (view !== undefined) this.#options.onEnded(view, outcome, error);
      },
      onClosed: () => this.#options.onClosed(),
      onProblem,
    });
    const view = this.view();
    if (view !== undefined) this.#options.onStarted(view);
    this.#transfer.start();
  }

  async #refuse(error: unknown, source: TftpSource | undefined): Promise<void> {
    const reason = asHoldfastError(error, 'The file could not be opened. See the log of the server.');
    this.#options.onGone(undefined);
    const startedOver = reason.code === 'cancelled' && this.#opening.signal.aborted;
    if (!startedOver) this.#options.onRefused(reason);
    try {
      await source?.close(startedOver ? 'aborted' : 'failed', reason);
    } catch (failure) {
      this.#options.onProblem(asHoldfastError(failure, 'The file could not be closed.'));
    }
    this.#options.onClosed();
  }
}

function tooSlow(): HoldfastError {
  return new HoldfastError(
    'backend_unavailable',
    'The storage did not open the file in time. Try again later.',
  );
}
