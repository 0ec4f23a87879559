import type { HoldfastError } from '@holdfast/contract/errors';
import { parsePortal } from './connection.ts';
import type { Portal } from './connection.ts';
import { LoginConversation } from './login.ts';
import type { LoginOptions, LoginResponse, LoginStep } from './login.ts';
import type { SessionParameters } from './negotiation.ts';
import { garbled, loginRequest } from './pdu.ts';
import type { OutgoingPdu, SequenceNumbers } from './pdu.ts';

/** How a login ends: logged in, or sent to another portal. */
export type LoginOutcome = { parameters: SessionParameters; movedTo?: undefined } | { movedTo: Portal };

export interface LoginExchangeOptions {
  isid: Uint8Array;
  tag: number;
  sequence: () => SequenceNumbers;
  send: (pdus: Iterable<OutgoingPdu>) => void;
  /** Called without a promise between: the digests that were agreed on count from the very next byte. */
  onAgreed: (parameters: SessionParameters, response: LoginResponse) => void;
}

/** Carries the conversation of a login over a connection. */
export class LoginExchange {
  /** Rejects when the exchange is failed, by the target or from outside. */
  readonly ended: Promise<LoginOutcome>;
  readonly #conversation: LoginConversation;
  readonly #options: LoginExchangeOptions;
  readonly #settle = Promise.withResolvers<LoginOutcome>();

  constructor(login: LoginOptions, options: LoginExchangeOptions) {
    this.#conversation = new LoginConversation(login);
    this.#options = options;
    this.ended = this.#settle.promise;
  }

  begin(): void {
    this.#take(this.#conversation.begin());
  }

  /** @throws HoldfastError `backend_unavailable` for an answer that refuses the login, or is none */
  onResponse(response: LoginResponse): void {
    const { tag, isid, onAgreed } = this.#options;
    // A refusal need not repeat the ISID; tgt leaves it out.
    const isOurs = response.statusClass !== 0 || response.isid.equals(isid);
    if (response.tag !== tag || !isOurs) throw garbled('an answer to another login');
    const step = this.#conversation.next(response);
    if (step.do === 'done') onAgreed(step.parameters, response);
    this.#take(step);
  }

  fail(reason: HoldfastError): void {
    this.#settle.reject(reason);
  }

  #take(step: LoginStep): void {
    if (step.do === 'send') {
      const { isid, tag, sequence, send } = this.#options;
      send([loginRequest({ ...step, isid, tag, sequence: sequence() })]);
      return;
    }
    if (step.do === 'done') {
      this.#settle.resolve({ parameters: step.parameters });
      return;
    }
    const movedTo = parsePortal(step.address);
    if (movedTo === undefined) throw garbled('a redirection to no proper address');
    this.#settle.resolve({ movedTo });
  }
}
