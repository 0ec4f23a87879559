import type { HoldfastError } from '@holdfast/contract/errors';
import { garbled, NO_TAG, textRequest } from './pdu.ts';
import type { OutgoingPdu, TargetPdu } from './pdu.ts';
import type { SessionNumbers } from './session-numbers.ts';
import { encodeTextPairs } from './text-keys.ts';

const maxTextBytes = 1024 * 1024;

/** A question in text, and its answer in as many messages as the target makes of it (RFC 7143 §11.10, §11.11). */
export class TextExchange {
  /** The whole text of the answer. */
  readonly answer: Promise<Buffer>;
  readonly #settle = Promise.withResolvers<Buffer>();
  readonly #tag: number;
  readonly #numbers: SessionNumbers;
  readonly #send: (pdus: Iterable<OutgoingPdu>) => void;
  readonly #parts: Buffer[] = [];
  #bytes = 0;

  constructor(options: {
    tag: number;
    numbers: SessionNumbers;
    send: (pdus: Iterable<OutgoingPdu>) => void;
  }) {
    this.#tag = options.tag;
    this.#numbers = options.numbers;
    this.#send = options.send;
    this.answer = this.#settle.promise;
  }

  ask(key: string, value: string): void {
    this.#sendText(NO_TAG, encodeTextPairs([[key, value]]));
  }

  /**
   * Takes a message of the answer, and asks for the next one.
   * @returns whether it was the last one
   * @throws HoldfastError `backend_unavailable` for one that nobody asked for, and for a text that does not end
   */
  receive(pdu: Extract<TargetPdu, { type: 'text-response' }>): boolean {
    if (pdu.tag !== this.#tag) throw garbled('a text that nobody asked for');
    this.#parts.push(pdu.data);
    this.#bytes += pdu.data.byteLength;
    if (this.#bytes > maxTextBytes) throw garbled('a text without an end');
    if (pdu.final) this.#settle.resolve(Buffer.concat(this.#parts));
    else this.#sendText(pdu.targetTag, new Uint8Array(0));
    return pdu.final;
  }

  fail(reason: HoldfastError): void {
    this.#settle.reject(reason);
  }

  #sendText(targetTag: number, data: Uint8Array): void {
    this.#send([textRequest({ tag: this.#tag, targetTag, sequence: this.#numbers.take(), data })]);
  }
}
