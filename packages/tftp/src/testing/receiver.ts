import { encodeAck, encodeError, parsePacket } from '../packets.ts';

/** What a receiver does next. */
export type ReceiverStep =
  | { type: 'send'; packet: Buffer }
  | { type: 'deliver'; payload: Uint8Array }
  | { type: 'done' }
  | { type: 'failed'; reason: string };

export interface ReceiverOptions {
  /** The request as a datagram; it is repeated until something comes back. */
  request: Buffer;
  /** How often the last packet is repeated before it gives up. */
  maxRetries: number;
  /** What the receiver assumes when no OACK comes. */
  blksize?: number;
  windowsize?: number;
}

/**
 * The client's side of RFC 1350, 2347 and 7440, as a machine of its own: written from the RFCs, sharing nothing with
 * the server but the packet formats. After the last block it stays to confirm repetitions until it is left alone.
 */
export class Receiver {
  readonly #options: ReceiverOptions;
  #blksize: number;
  #windowsize: number;
  #received = 0;
  #inWindow = 0;
  #gapReported = false;
  #last: Buffer;
  #retries = 0;
  #state: 'requesting' | 'receiving' | 'done' | 'failed' = 'requesting';
  /** The options of the OACK. */
  readonly options = new Map<string, string>();
  /** DATA packets that came more than once or out of order. */
  strays = 0;

  constructor(options: ReceiverOptions) {
    this.#options = options;
    this.#last = options.request;
    this.#blksize = options.blksize ?? 512;
    this.#windowsize = options.windowsize ?? 1;
  }

  get state(): 'requesting' | 'receiving' | 'done' | 'failed' {
    return this.#state;
  }

  start(): ReceiverStep[] {
    return [{ type: 'send', packet: this.#last }];
  }

  receive(datagram: Uint8Array): ReceiverStep[] {
    if (this.#state === 'failed') return [];
    const packet = parsePacket(datagram);
    if (packet.kind === 'error' && this.#state !== 'done') {
      return this.#fail(`error ${packet.code}: ${packet.message}`);
    }
    if (packet.kind === 'oack' && this.#received === 0 && this.#state !== 'done') {
      for (const { name, value } of packet.options) this.options.set(name.toLowerCase(), value);
      this.#blksize = Number(this.options.get('blksize') ?? this.#blksize);
      this.#windowsize = Number(this.options.get('windowsize') ?? this.#windowsize);
      this.#state = 'receiving';
      return this.#acknowledge();
    }
    return packet.kind === 'data' ? this.#data(packet.block, packet.payload) : [];
  }

  /** Nothing came for a while: repeats the last packet, or gives up. */
  timeout(): ReceiverStep[] {
    if (this.#state === 'failed' || this.#state === 'done') return [];
    this.#retries += 1;
    if (this.#retries > this.#options.maxRetries) {
      const steps = this.#fail('no answer');
      return [{ type: 'send', packet: encodeError(0, 'Timed out.') }, ...steps];
    }
    this.#gapReported = false;
    if (this.#state === 'receiving') return this.#acknowledge();
    return [{ type: 'send', packet: this.#last }];
  }

  #data(block: number, payload: Uint8Array): ReceiverStep[] {
    const ahead = (block - this.#received) & 0xffff;
    if (this.#state === 'done' || ahead !== 1) {
      this.strays += 1;
      // The end of a repeated window means that the ACK was lost; a gap is reported once (RFC 7440 §4).
      if (ahead === 0 && this.#received > 0 && this.#inWindow === 0)
        return [{ type: 'send', packet: this.#last }];
      if (ahead > 1 && ahead < 0x8000 && !this.#gapReported && this.#state !== 'done') {
        this.#gapReported = true;
        return this.#acknowledge();
      }
      return [];
    }
    this.#state = 'receiving';
    this.#received += 1;
    this.#inWindow += 1;
    this.#retries = 0;
    this.#gapReported = false;
    const steps: ReceiverStep[] = [{ type: 'deliver', payload }];
    if (payload.length < this.#blksize) {
      this.#state = 'done';
      return [...steps, ...this.#acknowledge(), { type: 'done' }];
    }
    return this.#inWindow >= this.#windowsize ? [...steps, ...this.#acknowledge()] : steps;
  }

  #acknowledge(): ReceiverStep[] {
    this.#inWindow = 0;
    this.#last = encodeAck(this.#received);
    return [{ type: 'send', packet: this.#last }];
  }

  #fail(reason: string): ReceiverStep[] {
    this.#state = 'failed';
    return [{ type: 'failed', reason }];
  }
}
