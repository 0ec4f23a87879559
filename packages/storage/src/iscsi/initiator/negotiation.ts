import { garbled } from './pdu.ts';
import type { TextPair } from './text-keys.ts';

/** What both sides have agreed on (RFC 7143 §13). Lengths in bytes. */
export interface SessionParameters {
  headerDigest: boolean;
  dataDigest: boolean;
  /** The longest data segment that the target takes. */
  maxSendBytes: number;
  maxBurstBytes: number;
  firstBurstBytes: number;
  initialR2t: boolean;
  immediateData: boolean;
  /** The group of the portal that was logged in at (RFC 7143 §13.9), where the target tells it. */
  portalGroup?: number;
}

/** The longest data segment that we take. */
export const MAX_RECEIVE_BYTES = 1024 * 1024;

const offeredBurstBytes = 1024 * 1024;
const offeredFirstBurstBytes = 256 * 1024;

/** The defaults for what is not negotiated (RFC 7143 §13). */
const defaults: SessionParameters = {
  headerDigest: false,
  dataDigest: false,
  maxSendBytes: 8192,
  maxBurstBytes: 256 * 1024,
  firstBurstBytes: 64 * 1024,
  initialR2t: true,
  immediateData: true,
};

/** What we offer in the operational stage. */
export function offeredKeys(options: { discovery: boolean; digests: boolean }): TextPair[] {
  const digest = options.digests ? 'CRC32C,None' : 'None';
  const common: TextPair[] = [
    ['HeaderDigest', digest],
    ['DataDigest', digest],
    ['MaxRecvDataSegmentLength', String(MAX_RECEIVE_BYTES)],
  ];
  if (options.discovery) return common;
  return [
    ...common,
    ['MaxConnections', '1'],
    ['InitialR2T', 'No'],
    ['ImmediateData', 'Yes'],
    ['MaxBurstLength', String(offeredBurstBytes)],
    ['FirstBurstLength', String(offeredFirstBurstBytes)],
    ['MaxOutstandingR2T', '1'],
    ['DefaultTime2Wait', '0'],
    ['DefaultTime2Retain', '0'],
    ['DataPDUInOrder', 'Yes'],
    ['DataSequenceInOrder', 'Yes'],
    ['ErrorRecoveryLevel', '0'],
  ];
}

/** Values that stand for "I have no answer" (RFC 7143 §6.2). */
const nonAnswers = new Set(['Irrelevant', 'NotUnderstood', 'Reject']);

function numberOf(key: string, value: string, min: number, max: number): number {
  const number =
    /^(?:0|[1-9]\d{0,9})$/.test(value) || /^0[xX][0-9a-fA-F]{1,8}$/.test(value) ? Number(value) : Number.NaN;
  if (!(number >= min && number <= max)) throw garbled(`${key}=${value.slice(0, 40)}, which is out of range`);
  return number;
}

function booleanOf(key: string, value: string): boolean {
  if (value !== 'Yes' && value !== 'No') throw garbled(`${key}=${value.slice(0, 40)} in place of Yes or No`);
  return value === 'Yes';
}

function digestOf(key: string, value: string, offered: boolean): boolean {
  if (value === 'None') return false;
  if (value === 'CRC32C' && offered) return true;
  throw garbled(`${key}=${value.slice(0, 40)}, which was not offered`);
}

function requireAnswer(key: string, value: string, wanted: string): void {
  if (value !== wanted) throw garbled(`${key}=${value.slice(0, 40)}, where only ${wanted} was offered`);
}

/** Keys by which a target describes itself; nothing is answered. */
const declarations = new Set(['TargetAlias', 'TargetAddress', 'TargetPortalGroupTag', 'TargetName']);

/** The outcome of the operational stage, put together from the target's answers. */
export class OperationalNegotiation {
  readonly parameters: SessionParameters = { ...defaults };
  readonly #digests: boolean;
  readonly #seen = new Set<string>();

  constructor(options: { digests: boolean }) {
    this.#digests = options.digests;
  }

  /** Takes in what a target says about itself, at whatever stage of the login it does so. */
  declare(keys: ReadonlyMap<string, string>): void {
    const key = 'TargetPortalGroupTag';
    const group = keys.get(key);
    if (group !== undefined) this.parameters.portalGroup = numberOf(key, group, 0, 0xffff);
  }

  /**
   * Takes the keys of one response in.
   * @returns what has to be answered: unknown keys get `NotUnderstood` (RFC 7143 §6.2)
   * @throws HoldfastError `backend_unavailable` for values that no target may answer with
   */
  accept(keys: ReadonlyMap<string, string>): TextPair[] {
    const answers: TextPair[] = [];
    for (const [key, value] of keys) {
      if (declarations.has(key)) continue;
      if (this.#seen.has(key)) throw garbled(`the key ${key} negotiated twice`);
      this.#seen.add(key);
      if (nonAnswers.has(value)) continue;
      if (!this.#apply(key, value)) answers.push([key, 'NotUnderstood']);
    }
    return answers;
  }

  #apply(key: string, value: string): boolean {
    const parameters = this.parameters;
    switch (key) {
      case 'HeaderDigest':
        parameters.headerDigest = digestOf(key, value, this.#digests);
        return true;
      case 'DataDigest':
        parameters.dataDigest = digestOf(key, value, this.#digests);
        return true;
      case 'MaxRecvDataSegmentLength':
        parameters.maxSendBytes = numberOf(key, value, 512, 0xff_ffff);
        return true;
      case 'MaxBurstLength':
        parameters.maxBurstBytes = numberOf(key, value, 512, offeredBurstBytes);
        return true;
      case 'FirstBurstLength':
        parameters.firstBurstBytes = numberOf(key, value, 512, offeredFirstBurstBytes);
        return true;
      case 'InitialR2T':
        parameters.initialR2t = booleanOf(key, value);
        return true;
      case 'ImmediateData':
        parameters.immediateData = booleanOf(key, value);
        return true;
      case 'MaxConnections':
      case 'MaxOutstandingR2T':
        requireAnswer(key, value, '1');
        return true;
      case 'DataPDUInOrder':
      case 'DataSequenceInOrder':
        requireAnswer(key, value, 'Yes');
        return true;
      case 'ErrorRecoveryLevel':
        requireAnswer(key, value, '0');
        return true;
      case 'DefaultTime2Wait':
      case 'DefaultTime2Retain':
        numberOf(key, value, 0, 3600);
        return true;
      default:
        return false;
    }
  }
}
