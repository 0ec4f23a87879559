import { throwIfCancelled, unlessCancelled } from '@holdfast/bytes/cancellation';
import { HoldfastError } from '@holdfast/contract/errors';
import { ProcessEnded } from '../iscsi/calls/caller.ts';
import type { Caller } from '../iscsi/calls/caller.ts';
import type { HolderProcess } from './holder-process.ts';

export interface LiveHolderOptions {
  /** What is mounted: "The LUN". */
  what: string;
  /** Starts the process, after the one before has ended. */
  begin: () => Promise<HolderProcess>;
  /** Two may be there at once: the end of the one before is not waited for. */
  mayOverlap?: boolean;
}

/** A holder that is started when it is first needed, and again after it has ended. */
export class LiveHolder {
  readonly #options: LiveHolderOptions;
  #holder: Promise<HolderProcess> | undefined;
  #ending: Promise<void> = Promise.resolve();
  #isDisposed = false;

  constructor(options: LiveHolderOptions) {
    this.#options = options;
  }

  /** Whether it is there, or on its way. */
  get isUp(): boolean {
    return this.#holder !== undefined;
  }

  /**
   * The channel to the holder.
   * @param start what it is to mount, given to it when it has to be started
   * @throws HoldfastError why it cannot be brought up; `cancelled`, `shutting_down`
   */
  async caller(start: unknown, signal?: AbortSignal): Promise<Caller> {
    const label = `Mounting ${lowerFirst(this.#options.what)}`;
    throwIfCancelled(signal, label);
    if (this.#isDisposed) throw new HoldfastError('shutting_down', 'The backend is closed.');
    const holder = (this.#holder ??= this.#remember(this.#bringUp(start, label)));
    return (await unlessCancelled(signal, label, () => holder)).caller;
  }

  /** Lets the holder unmount, and waits for its end. */
  async dispose(): Promise<void> {
    this.#isDisposed = true;
    const holder = await this.#holder?.catch(() => undefined);
    holder?.caller.close(new HoldfastError('shutting_down', 'The backend was closed.'));
    await this.#ending;
  }

  /** Everybody shares a holder, and the attempt to start one, until its end. */
  #remember(starting: Promise<HolderProcess>): Promise<HolderProcess> {
    const forget = (): void => {
      if (this.#holder === starting) this.#holder = undefined;
    };
    starting.then(({ caller }) => caller.closed).then(forget, forget);
    return starting;
  }

  async #bringUp(start: unknown, label: string): Promise<HolderProcess> {
    const { what } = this.#options;
    let holder: HolderProcess | undefined;
    try {
      if (this.#options.mayOverlap !== true) await this.#ending;
      holder = await this.#options.begin();
      this.#ending = holder.ended;
      await holder.caller.call('start', start, { label });
      return holder;
    } catch (error) {
      holder?.caller.close(new HoldfastError('backend_unavailable', `${what} could not be mounted.`));
      await this.#ending;
      throw holder === undefined || holder.said() === '' ? error : withLastWords(error, what, holder.said());
    }
  }
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}

/** A holder that ends before it can tell why (a namespace that it may not make) has only its standard error. */
function withLastWords(error: unknown, what: string, said: string): unknown {
  if (!(error instanceof ProcessEnded)) return error;
  const text = `${what} cannot be mounted on this machine: ${said}`;
  const message = text.endsWith('.') ? text : `${text}.`;
  return new HoldfastError('backend_unavailable', message, {
    retryable: false,
    errors: [{ field: 'config.mode', message }],
    cause: error,
  });
}
