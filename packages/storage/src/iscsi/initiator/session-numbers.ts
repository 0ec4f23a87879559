import { garbled, NO_TAG } from './pdu.ts';
import type { SequenceNumbers, TargetPdu } from './pdu.ts';
import { isAfter, nextSerial } from './serial-number.ts';

/** The numbers by which the two sides of a session follow each other (RFC 7143 §4.2.2). Without I/O. */
export class SessionNumbers {
  #cmdSn = 1;
  #maxCmdSn = 1;
  #expStatSn = 0;

  get expStatSn(): number {
    return this.#expStatSn;
  }

  /** Whether the target takes another command. */
  get isWindowOpen(): boolean {
    return !isAfter(this.#cmdSn, this.#maxCmdSn);
  }

  /** The numbers of a request that stands outside of the order of commands. */
  current(): SequenceNumbers {
    return { cmdSn: this.#cmdSn, expStatSn: this.#expStatSn };
  }

  /** The numbers of a request that takes its place in the order of commands. */
  take(): SequenceNumbers {
    const numbers = this.current();
    this.#cmdSn = nextSerial(this.#cmdSn);
    return numbers;
  }

  /** A login response: the first one says where the numbers of its side begin. */
  followLogin(statSn: number): void {
    this.#expStatSn = nextSerial(statSn);
  }

  /** The window that the last login response gives. */
  openWindow(maxCmdSn: number): void {
    this.#maxCmdSn = maxCmdSn;
  }

  /** Any message after the login. @throws HoldfastError `backend_unavailable` for a status out of order */
  follow(pdu: TargetPdu): void {
    if (pdu.type === 'login-response') return;
    const isStatus =
      pdu.type === 'data-in' ? pdu.status !== undefined : pdu.type !== 'r2t' && !isUnnumbered(pdu);
    if (isStatus) {
      if (pdu.statSn !== this.#expStatSn) throw garbled('a status out of order');
      this.#expStatSn = nextSerial(this.#expStatSn);
    }
    // RFC 7143 §4.2.2.1: a window that is less than empty is ignored, and it never shrinks.
    const isWindow = !isAfter(pdu.expCmdSn, nextSerial(pdu.maxCmdSn));
    if (isWindow && isAfter(pdu.maxCmdSn, this.#maxCmdSn)) this.#maxCmdSn = pdu.maxCmdSn;
  }
}

function isUnnumbered(pdu: TargetPdu): boolean {
  return pdu.type === 'nop-in' && pdu.tag === NO_TAG;
}
