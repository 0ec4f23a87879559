import type { Logger } from 'pino';
import type { SetTimer } from '@holdfast/bytes/pacing/alarm';
import { setRealTimer } from '@holdfast/bytes/pacing/alarm';
import { isHoldfastError } from '@holdfast/contract/errors';
import type { BackendsFollower } from './backends.ts';
import { planAfter, planInDoubt, planSoon, type CheckPlan } from './check-schedule.ts';
import type { BackendStatus } from './live-backend.ts';

/** The backends as their monitor needs them. */
export interface MonitoredBackends {
  list: () => readonly { readonly row: { readonly id: string }; readonly status: BackendStatus }[];
  follow: (follower: BackendsFollower) => () => void;
  checkInTurn: (id: string) => Promise<boolean>;
}

/** Time as the monitor needs it. */
export interface MonitorClock {
  /** ms; only goes forward. */
  now: () => number;
  setTimer: SetTimer;
  /** 0 to 1. */
  random: () => number;
}

const realClock: MonitorClock = {
  now: () => performance.now(),
  setTimer: setRealTimer,
  random: () => Math.random(),
};

/** The checks of one backend. */
interface Watch {
  plan: CheckPlan;
  isChecking: boolean;
  cancelTimer: () => void;
}

/**
 * Checks each backend at times of its own for as long as the hub runs: every minute while that is well, after failures
 * soon and then ever more seldom (see `check-schedule.ts`). One that is slow or hangs delays no other.
 */
export class BackendMonitor implements Disposable {
  readonly #backends: MonitoredBackends;
  readonly #logger: Logger;
  readonly #clock: MonitorClock;
  readonly #watches = new Map<string, Watch>();
  readonly #unfollow: () => void;

  constructor(backends: MonitoredBackends, logger: Logger, clock: MonitorClock = realClock) {
    this.#backends = backends;
    this.#logger = logger;
    this.#clock = clock;
    this.#unfollow = backends.follow({
      asked: (id, isOk) => this.#begin(id, isOk),
      doubted: (id) => this.#replan(id, planInDoubt),
      answeredLate: (id) => this.#replan(id, planSoon),
      removed: (id) => this.#end(id),
    });
    for (const { row, status } of backends.list()) this.#begin(row.id, status === 'online');
  }

  [Symbol.dispose](): void {
    this.#unfollow();
    for (const id of this.#watches.keys()) this.#end(id);
  }

  /** Plans anew, as if there had been no check but the one that has just ended. */
  #begin(id: string, isOk: boolean): void {
    this.#end(id);
    const plan = planAfter(isOk, 0, this.#clock.now(), this.#clock.random());
    const watch = { plan, isChecking: false, cancelTimer: () => {} };
    this.#watches.set(id, watch);
    this.#wind(id, watch);
  }

  /** A check that is under way may end; it plans nothing any more. */
  #end(id: string): void {
    this.#watches.get(id)?.cancelTimer();
    this.#watches.delete(id);
  }

  #replan(id: string, change: (plan: CheckPlan, now: number) => CheckPlan): void {
    const watch = this.#watches.get(id);
    if (watch === undefined || watch.isChecking) return;
    const plan = change(watch.plan, this.#clock.now());
    if (plan.nextAt === watch.plan.nextAt) return;
    watch.plan = plan;
    this.#wind(id, watch);
  }

  #wind(id: string, watch: Watch): void {
    watch.cancelTimer();
    const delayMs = Math.max(0, watch.plan.nextAt - this.#clock.now());
    watch.cancelTimer = this.#clock.setTimer(() => void this.#check(id, watch), delayMs);
  }

  async #check(id: string, watch: Watch): Promise<void> {
    watch.isChecking = true;
    const isOk = await this.#isWell(id);
    if (this.#watches.get(id) !== watch) return;
    watch.isChecking = false;
    watch.plan = planAfter(isOk, watch.plan.failures, this.#clock.now(), this.#clock.random());
    this.#wind(id, watch);
  }

  async #isWell(id: string): Promise<boolean> {
    try {
      return await this.#backends.checkInTurn(id);
    } catch (error) {
      if (!isHoldfastError(error, 'backend_not_found'))
        this.#logger.error({ backend: id, err: error }, 'the backend could not be checked');
      return false;
    }
  }
}
