import { HoldfastError } from '@holdfast/contract/errors';
import type { Socket } from 'node:net';
import { framePdu, noDigests, PduReader } from './framing.ts';
import type { Digests } from './framing.ts';
import { MAX_RECEIVE_BYTES } from './negotiation.ts';
import { decodeTargetPdu, garbled } from './pdu.ts';
import type { OutgoingPdu, TargetPdu } from './pdu.ts';

export interface PduChannelEvents {
  /** Something came, a whole PDU or a part of one. */
  onBytes: () => void;
  onPdu: (pdu: TargetPdu) => void;
  /** The bytes that were there have been taken in. */
  onIdle: () => void;
  /** What comes is no iSCSI: the error to end the session with. */
  onGarbage: (error: HoldfastError) => void;
  onClosed: (why: string, cause?: unknown) => void;
}

/** A connection as a channel of PDUs. */
export class PduChannel {
  readonly #socket: Socket;
  readonly #events: PduChannelEvents;
  readonly #reader = new PduReader(MAX_RECEIVE_BYTES);
  #digests = noDigests;
  #isClosed = false;

  constructor(socket: Socket, events: PduChannelEvents) {
    this.#socket = socket;
    this.#events = events;
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('error', (error) => events.onClosed(error.message, error));
    socket.on('close', () => events.onClosed('the connection was closed'));
  }

  /** For all that is sent, and all that has not yet been taken in. */
  useDigests(digests: Digests): void {
    this.#digests = digests;
    this.#reader.useDigests(digests);
  }

  send(pdus: Iterable<OutgoingPdu>): void {
    if (this.#isClosed) return;
    this.#socket.cork();
    for (const pdu of pdus) for (const piece of framePdu(pdu, this.#digests)) this.#socket.write(piece);
    this.#socket.uncork();
  }

  close(): void {
    this.#isClosed = true;
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    if (this.#isClosed) return;
    this.#events.onBytes();
    try {
      for (const { header, data } of this.#reader.push(chunk)) {
        this.#events.onPdu(decodeTargetPdu(header, data));
        if (this.#isClosed) return;
      }
      this.#events.onIdle();
    } catch (error) {
      this.#events.onGarbage(error instanceof HoldfastError ? error : garbled(String(error)));
    }
  }
}
