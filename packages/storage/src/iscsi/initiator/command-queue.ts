import { cancellationOf } from '@holdfast/bytes/cancellation';
import { HoldfastError } from '@holdfast/contract/errors';
import type { SessionParameters } from './negotiation.ts';
import { abortTask, garbled } from './pdu.ts';
import type { OutgoingPdu, TargetPdu } from './pdu.ts';
import type { ScsiCommand, ScsiOutcome } from './scsi-command.ts';
import type { SessionNumbers } from './session-numbers.ts';
import { ScsiTask } from './task.ts';

const maxInFlight = 64;

/** A target that is alive, and does not get a command done: the task was aborted there. */
export class CommandTimedOut extends HoldfastError {
  constructor(label: string, timeoutMs: number) {
    super(
      'backend_unavailable',
      `${label} took longer than ${timeoutMs / 1000} s at the iSCSI target, and was aborted.`,
    );
  }
}

export interface CommandOptions {
  signal?: AbortSignal | undefined;
  /** Milliseconds after which the task is aborted at the target. */
  timeoutMs?: number;
}

export interface CommandQueueOptions {
  numbers: SessionNumbers;
  newTag: () => number;
  send: (pdus: Iterable<OutgoingPdu>) => void;
  /** What was agreed on at login. */
  parameters: () => SessionParameters;
  /** Milliseconds for the target to abort a task. */
  abortMs: number;
  /** Told when the target is beyond help. */
  onLost: (why: string) => void;
}

interface Waiting {
  command: ScsiCommand;
  lun: Uint8Array;
  settle: PromiseWithResolvers<ScsiOutcome>;
}

interface Running {
  task: ScsiTask;
  settle: PromiseWithResolvers<ScsiOutcome>;
}

/** The commands of a session: as many under way as the target takes, at most 64; the others wait in order. */
export class CommandQueue {
  readonly #options: CommandQueueOptions;
  readonly #running = new Map<number, Running>();
  readonly #waiting: Waiting[] = [];
  readonly #aborts = new Map<number, PromiseWithResolvers<void>>();

  constructor(options: CommandQueueOptions) {
    this.#options = options;
  }

  /** Commands that wait for their end. */
  get inFlight(): number {
    return this.#running.size + this.#waiting.length;
  }

  /** Whether an answer of the target is waited for. */
  get isBusy(): boolean {
    return this.inFlight > 0 || this.#aborts.size > 0;
  }

  usesTag(tag: number): boolean {
    return this.#running.has(tag) || this.#aborts.has(tag);
  }

  /** @throws CommandTimedOut; HoldfastError `cancelled`, and the reason of `fail` */
  async execute(lun: Uint8Array, command: ScsiCommand, options: CommandOptions): Promise<ScsiOutcome> {
    const { signal, timeoutMs } = options;
    const entry: Waiting = { command, lun, settle: Promise.withResolvers<ScsiOutcome>() };
    this.#waiting.push(entry);
    this.sendWaiting();
    if (signal === undefined && timeoutMs === undefined) return entry.settle.promise;
    const onAbort = (): void => void this.#abandon(entry, cancellationOf(signal, command.label));
    const onTimeout = (): void =>
      void this.#abandon(entry, new CommandTimedOut(command.label, timeoutMs ?? 0));
    const timer = timeoutMs === undefined ? undefined : setTimeout(onTimeout, timeoutMs).unref();
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      return await entry.settle.promise;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** Sends as many of the waiting commands as the target takes now. */
  sendWaiting(): void {
    const { numbers, newTag, send, parameters } = this.#options;
    while (this.#running.size < maxInFlight && numbers.isWindowOpen) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      const sequence = numbers.take();
      const task = new ScsiTask(next.command, {
        tag: newTag(),
        cmdSn: sequence.cmdSn,
        lun: next.lun,
        parameters: parameters(),
      });
      this.#running.set(task.tag, { task, settle: next.settle });
      send(task.begin(sequence));
    }
  }

  /** @throws HoldfastError `backend_unavailable` for a message that belongs to no command */
  receive(pdu: Extract<TargetPdu, { type: 'data-in' | 'scsi-response' | 'r2t' }>): void {
    const { task, settle } = this.#taskOf(pdu.tag);
    if (pdu.type === 'r2t') {
      this.#options.send(task.transfer(pdu, this.#options.numbers.expStatSn));
      return;
    }
    const outcome = pdu.type === 'data-in' ? task.receive(pdu) : task.end(pdu);
    if (outcome === undefined) return;
    this.#running.delete(pdu.tag);
    settle.resolve(outcome);
  }

  /** The target has aborted a task. */
  receiveAbort(tag: number): void {
    this.#aborts.get(tag)?.resolve();
    this.#aborts.delete(tag);
  }

  /** Ends all commands with the same reason. */
  fail(reason: HoldfastError): void {
    for (const { settle } of [...this.#running.values(), ...this.#waiting]) settle.reject(reason);
    for (const settle of this.#aborts.values()) settle.resolve();
    this.#running.clear();
    this.#waiting.length = 0;
    this.#aborts.clear();
  }

  #taskOf(tag: number): Running {
    const running = this.#running.get(tag);
    if (running === undefined) throw garbled('a message for a command that is not under way');
    return running;
  }

  /** Gives a command up: aborts its task at the target (RFC 7143 §11.5), so that no data of it comes later. */
  async #abandon(entry: Waiting, reason: HoldfastError): Promise<void> {
    const at = this.#waiting.indexOf(entry);
    if (at >= 0) {
      this.#waiting.splice(at, 1);
      entry.settle.reject(reason);
      return;
    }
    const running = [...this.#running.values()].find(({ settle }) => settle === entry.settle);
    if (running === undefined) return;
    const { task } = running;
    const { numbers, newTag, send, abortMs, onLost } = this.#options;
    const tag = newTag();
    const aborted = Promise.withResolvers<void>();
    this.#aborts.set(tag, aborted);
    send([
      abortTask({
        lun: entry.lun,
        tag,
        referencedTag: task.tag,
        referencedCmdSn: task.cmdSn,
        sequence: numbers.current(),
      }),
    ]);
    const timer = setTimeout(() => onLost('it does not abort a command'), abortMs);
    await aborted.promise;
    clearTimeout(timer);
    this.#running.delete(task.tag);
    entry.settle.reject(reason);
    this.sendWaiting();
  }
}
