/** ACKs of one measurement: a few milliseconds of a transfer that polling can help. */
const trialAcks = 32;
/** ACKs between two measurements of the way that is not in use: rare at last, as each costs a little. */
const firstPauseAcks = 512;
const longestPauseAcks = 8192;
/** Milliseconds between two ACKs, above which the network is what a transfer waits for. */
const longestGapMs = 0.2;
/** Polling has to be so much faster to be worth a core. */
const worthwhile = 0.9;
/** Blocks of a window, above which so few ACKs are waited for that polling only takes the client's core away. */
const largestWindow = 4;

/**
 * Decides whether a transfer waits for its next ACK by polling the event loop or by letting the process sleep.
 *
 * A client on the same machine (a virtual machine that boots, a test) answers within microseconds, and then waking
 * up on another core takes longer than everything else: polling gave a transfer with a window of 1
 * up to twice the speed. When both share a core it is the other way round. The scheduler decides which it is, and nothing tells, so both
 * ways are measured now and then, and the faster one is used. Across a network polling is never tried.
 */
export class AckPolling {
  readonly #sensible: boolean;
  #polling = false;
  /** Milliseconds for one ACK, as last measured; by whether it was polling. */
  #measured: { sleep: number | undefined; poll: number | undefined } = { sleep: undefined, poll: undefined };
  #acks = 0;
  #startedAt: number | undefined;
  #pause = firstPauseAcks;
  #untilTrial = 0;
  #trial = false;

  /** @param windowsize blocks that are sent for each ACK. */
  constructor(windowsize: number) {
    this.#sensible = windowsize <= largestWindow;
  }

  /** Whether to poll for the next ACK. */
  get polling(): boolean {
    return this.#polling;
  }

  /** An ACK has moved the transfer on. @param now milliseconds, with fractions, of a monotonic clock. */
  ack(now: number): void {
    if (!this.#sensible) return;
    if (this.#startedAt === undefined) {
      this.#startedAt = now;
      return;
    }
    this.#acks += 1;
    if (this.#acks < trialAcks) return;
    this.#measure((now - this.#startedAt) / this.#acks);
    this.#acks = 0;
    this.#startedAt = now;
  }

  #measure(gapMs: number): void {
    this.#measured[this.#polling ? 'poll' : 'sleep'] = gapMs;
    this.#untilTrial -= trialAcks;
    const { sleep = Number.POSITIVE_INFINITY, poll } = this.#measured;
    if (poll === undefined) {
      this.#polling = sleep < longestGapMs;
      this.#trial = this.#polling;
      return;
    }
    const better = poll < sleep * worthwhile && poll < longestGapMs;
    if (this.#trial) {
      this.#trial = false;
      this.#pause = Math.min(longestPauseAcks, this.#pause * 2);
      this.#untilTrial = this.#pause;
      this.#polling = better;
    } else if (this.#untilTrial <= 0 && Math.min(sleep, poll) < longestGapMs) {
      this.#trial = true;
      this.#polling = !this.#polling;
    } else {
      // The way in use has become slower than the other one was: the scheduler has moved somebody.
      this.#polling = better;
    }
  }
}
