import { noteForeignBytes } from '@holdfast/bytes/foreign-memory';
import type { Dispatcher } from 'undici';
import { exchangeError, garbledReply } from './failure.ts';
import type { ProgressWatch } from './progress-watch.ts';

/** Bytes of an unwanted body that are read so that its connection can be used again. */
const discardBytes = 64 * 1024;

/** The reply to one request. Its body is read once, or discarded. */
export class HttpReply {
  readonly status: number;
  /** The address that answered, after redirects. */
  readonly url: URL;
  readonly #answer: Dispatcher.ResponseData;
  readonly #watch: ProgressWatch;
  readonly #doing: string;
  readonly #caller: AbortSignal | undefined;
  #isTaken = false;

  constructor(
    answer: Dispatcher.ResponseData,
    url: URL,
    watch: ProgressWatch,
    doing: string,
    caller: AbortSignal | undefined,
  ) {
    this.status = answer.statusCode;
    this.url = url;
    this.#answer = answer;
    this.#watch = watch;
    this.#doing = doing;
    this.#caller = caller;
  }

  /** A header by its lower-case name; the first one when there are several. */
  header(name: string): string | undefined {
    const value = this.#answer.headers[name];
    return Array.isArray(value) ? value[0] : value;
  }

  /** Whether the status is a success. */
  get isOk(): boolean {
    return this.status >= 200 && this.status < 300;
  }

  /** The body as it comes; each chunk is memory of its own. @throws HoldfastError `backend_unavailable`, `cancelled` */
  async *chunks(): AsyncGenerator<Buffer> {
    this.#isTaken = true;
    const body = this.#answer.body;
    const iterator: AsyncIterator<Buffer> = body[Symbol.asyncIterator]();
    try {
      for (;;) {
        this.#watch.serversTurn();
        const next = await iterator.next();
        this.#watch.ownTurn();
        if (next.done === true) return;
        noteForeignBytes(next.value.byteLength);
        yield next.value;
      }
    } catch (error) {
      throw exchangeError(error, this.#doing, this.#watch, this.#caller);
    } finally {
      this.#watch[Symbol.dispose]();
      // A reader that stops early does not want the rest; nobody is left to hear why it broke off.
      body.on('error', () => undefined).destroy();
    }
  }

  /** The body as text. @throws HoldfastError `backend_unavailable` when it has more than `maxBytes` */
  async text(maxBytes: number): Promise<string> {
    const decoder = new TextDecoder();
    let text = '';
    let bytes = 0;
    for await (const chunk of this.chunks()) {
      bytes += chunk.byteLength;
      if (bytes > maxBytes) throw garbledReply(this.#doing, `it has more than ${maxBytes} bytes`);
      text += decoder.decode(chunk, { stream: true });
    }
    return text + decoder.decode();
  }

  /** Lets go of what was not read. A short rest is read, which keeps the connection. Never throws. */
  async discard(): Promise<void> {
    if (this.#isTaken) return;
    let bytes = 0;
    try {
      for await (const chunk of this.chunks()) {
        bytes += chunk.byteLength;
        if (bytes > discardBytes) break;
      }
    } catch {
      // The status was all that mattered; a broken connection shows at the next request.
    }
  }
}
