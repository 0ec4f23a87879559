import { nfsStatus } from '../status.ts';

/**
 * What the answer to SEQUENCE means for its request (RFC 8881 §15.1.11, §18.46.3):
 * - `done`: it was taken, and the answers to its operations follow;
 * - `sendAgain`: it was not taken; the same number again, a little later;
 * - `answerLost`: it was done before, and its answer was not kept; the slot goes on;
 * - `bindFirst`: the connection has to be tied to the session;
 * - `retireSlot`: the server does not have this slot any more;
 * - `newSession`: the session is gone, or client and server do not agree on it any more.
 */
export type SequenceVerdict = 'done' | 'sendAgain' | 'answerLost' | 'bindFirst' | 'retireSlot' | 'newSession';

const verdicts = new Map<number, SequenceVerdict>([
  [nfsStatus.OK, 'done'],
  [nfsStatus.DELAY, 'sendAgain'],
  [nfsStatus.RETRY_UNCACHED_REP, 'answerLost'],
  [nfsStatus.CONN_NOT_BOUND_TO_SESSION, 'bindFirst'],
  [nfsStatus.BADSLOT, 'retireSlot'],
  [nfsStatus.BADSESSION, 'newSession'],
  [nfsStatus.DEADSESSION, 'newSession'],
  [nfsStatus.SEQ_MISORDERED, 'newSession'],
  [nfsStatus.SEQ_FALSE_RETRY, 'newSession'],
  [nfsStatus.BAD_HIGH_SLOT, 'newSession'],
  [nfsStatus.STALE_CLIENTID, 'newSession'],
  // Not among the statuses of RFC 8881 for it, but nfs-ganesha's answer after the lease has ended.
  [nfsStatus.EXPIRED, 'newSession'],
]);

/** Judges the status of SEQUENCE. Undefined for one that speaks of the request itself (too large, badly formed). */
export function judgeSequence(status: number): SequenceVerdict | undefined {
  return verdicts.get(status);
}
