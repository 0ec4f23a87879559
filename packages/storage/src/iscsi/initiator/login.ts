import { CHAP_MD5, chapResponse, parseChallenge } from './chap.ts';
import type { ChapCredentials } from './chap.ts';
import { loginFailure, misconfigured } from './login-failure.ts';
import { offeredKeys, OperationalNegotiation } from './negotiation.ts';
import type { SessionParameters } from './negotiation.ts';
import { garbled } from './pdu.ts';
import type { TargetPdu } from './pdu.ts';
import { encodeTextPairs, parseTextKeys } from './text-keys.ts';
import type { TextPair } from './text-keys.ts';

/** The stages of a login (RFC 7143 §6.3). */
const stage = { security: 0, operational: 1, fullFeature: 3 } as const;
/** More than any target needs; a login that goes on and on is broken. */
const maxRounds = 16;
const maxTextBytes = 64 * 1024;

export interface LoginOptions {
  initiatorName: string;
  /** Left out for a discovery session. */
  target?: string | undefined;
  chap?: ChapCredentials | undefined;
  /** Whether to offer CRC32C digests. */
  digests: boolean;
}

export type LoginResponse = Extract<TargetPdu, { type: 'login-response' }>;

/** What to do next: send a request, log in somewhere else, or go on to the full feature phase. */
export type LoginStep =
  | { do: 'send'; currentStage: number; nextStage: number; transit: boolean; data: Buffer }
  | { do: 'follow'; address: string }
  | { do: 'done'; parameters: SessionParameters };

/** The conversation of a login, as a machine without I/O: response in, next step out. */
export class LoginConversation {
  readonly #options: LoginOptions;
  readonly #operational: OperationalNegotiation;
  #phase: 'method' | 'challenge' | 'proof' | 'operational' = 'method';
  #rounds = 0;
  #text: Buffer[] = [];

  constructor(options: LoginOptions) {
    this.#options = options;
    this.#operational = new OperationalNegotiation(options);
  }

  /** The first request. */
  begin(): LoginStep {
    const { initiatorName, target, chap } = this.#options;
    const keys: TextPair[] = [['InitiatorName', initiatorName]];
    if (target !== undefined) keys.push(['TargetName', target]);
    keys.push(['SessionType', target === undefined ? 'Discovery' : 'Normal']);
    keys.push(['AuthMethod', chap === undefined ? 'None' : 'CHAP']);
    return this.#security(chap === undefined, keys);
  }

  /** @throws HoldfastError `backend_unavailable`: refused (with the field to look at), or against the protocol */
  next(response: LoginResponse): LoginStep {
    this.#rounds += 1;
    if (this.#rounds > maxRounds) throw garbled('a login without an end');
    const keysSoFar = (): Map<string, string> => parseTextKeys(Buffer.concat(this.#text));
    this.#text.push(response.data);
    if (response.statusClass === 1) {
      const address = keysSoFar().get('TargetAddress');
      if (address === undefined) throw garbled('a redirection without an address');
      return { do: 'follow', address };
    }
    if (response.statusClass !== 0) {
      const status = (response.statusClass << 8) | response.statusDetail;
      throw loginFailure(status, this.#options.target ?? '(discovery)');
    }
    const expectedStage = this.#phase === 'operational' ? stage.operational : stage.security;
    if (response.currentStage !== expectedStage) throw garbled('a login response of another stage');
    if (response.hasMore) {
      if (response.transit) throw garbled('a login response that ends and goes on at once');
      if (this.#text.reduce((sum, part) => sum + part.byteLength, 0) > maxTextBytes)
        throw garbled('a login text without an end');
      return this.#send(expectedStage, false, []);
    }
    const keys = keysSoFar();
    this.#text = [];
    this.#operational.declare(keys);
    switch (this.#phase) {
      case 'method':
        return this.#chooseMethod(response, keys);
      case 'challenge':
        return this.#answerChallenge(response, keys);
      case 'proof':
        if (!response.transit) throw garbled('a login that does not end after CHAP');
        return this.#goOperational(response);
      default:
        return this.#negotiate(response, keys);
    }
  }

  #chooseMethod(response: LoginResponse, keys: Map<string, string>): LoginStep {
    const method = keys.get('AuthMethod') ?? (response.transit ? 'None' : '');
    if (method === 'CHAP' && this.#options.chap !== undefined) {
      if (response.transit) throw garbled('a login that skips CHAP');
      this.#phase = 'challenge';
      return this.#security(false, [['CHAP_A', CHAP_MD5]]);
    }
    if (this.#options.chap !== undefined) {
      throw misconfigured(
        'config.chap_enabled',
        'The iSCSI target asks for no CHAP, though chap_enabled is on. Switch chap_enabled off, or set CHAP up on the target.',
      );
    }
    if (method === 'None' && response.transit) return this.#goOperational(response);
    if (method === 'None') return this.#security(true, []);
    throw misconfigured(
      'config.chap_enabled',
      'The iSCSI target asks for CHAP. Switch chap_enabled on and set chap_username and chap_password.',
    );
  }

  #answerChallenge(response: LoginResponse, keys: Map<string, string>): LoginStep {
    const { chap } = this.#options;
    if (response.transit || chap === undefined) throw garbled('a login that skips CHAP');
    const { identifier, challenge } = parseChallenge(keys);
    this.#phase = 'proof';
    return this.#security(true, [
      ['CHAP_N', chap.username],
      ['CHAP_R', chapResponse(identifier, chap.password, challenge)],
    ]);
  }

  #goOperational(response: LoginResponse): LoginStep {
    if (response.nextStage !== stage.operational) throw garbled('a login that skips the operational stage');
    this.#phase = 'operational';
    const offers = offeredKeys({
      discovery: this.#options.target === undefined,
      digests: this.#options.digests,
    });
    return this.#send(stage.operational, true, offers);
  }

  #negotiate(response: LoginResponse, keys: Map<string, string>): LoginStep {
    const answers = this.#operational.accept(keys);
    if (!response.transit) return this.#send(stage.operational, true, answers);
    if (response.nextStage !== stage.fullFeature) throw garbled('a login that ends in another stage');
    return { do: 'done', parameters: this.#operational.parameters };
  }

  #security(transit: boolean, keys: readonly TextPair[]): LoginStep {
    return this.#send(stage.security, transit, keys);
  }

  #send(currentStage: number, transit: boolean, keys: readonly TextPair[]): LoginStep {
    const nextStage = currentStage === stage.security ? stage.operational : stage.fullFeature;
    return { do: 'send', currentStage, nextStage, transit, data: encodeTextPairs(keys) };
  }
}
