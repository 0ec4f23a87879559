import { makeFolderDurably, throwIfCancelled } from '@holdfast/bytes/durable-file';
import { HoldfastError } from '@holdfast/contract/errors';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { Socket } from 'node:net';
import { isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Caller, ProcessEnded } from '../calls/caller.ts';
import { unlessCancelled } from '../cancellation.ts';
import type { IscsiLogger } from '../config.ts';
import { awaitClaim } from './claim.ts';
import { toolEnvironment, toolMissing } from './tool.ts';
import type { VolumeStart } from './volume-start.ts';

const holderProgram = fileURLToPath(new URL('holder-main.ts', import.meta.url));
/** On top of the patience with the target: for unmounting, and for programs to end. */
const goingDownMs = 15_000;
/** A process of this machine that is silent for so long is stuck; a dead target does not keep it from answering. */
const holderSilenceMs = 30_000;
const maxSaidCharacters = 500;

export interface StackOptions {
  stateDir: string;
  /** Name of the stack's folder in `stateDir`. */
  name: string;
  /** What a bring-up needs to know, but for whether to format. */
  start: Omit<VolumeStart, 'format'>;
  logger?: IscsiLogger | undefined;
}

interface Holder {
  child: ChildProcess;
  caller: Caller;
  exited: Promise<void>;
  /** The last that it wrote to standard error. */
  said: () => string;
}

/** The mounted LUN of this process: brought up when it is first needed, and again after it was lost. */
export class LiveStack {
  readonly #options: StackOptions;
  #holder: Promise<Holder> | undefined;
  #ending: Promise<void> = Promise.resolve();
  #isDisposed = false;

  constructor(options: StackOptions) {
    this.#options = options;
  }

  /**
   * The channel to the process that has the LUN mounted.
   * @param options.format makes a file system on the LUN, which must be blank and not mounted
   * @throws HoldfastError why it cannot be brought up
   */
  async caller(options: { signal?: AbortSignal | undefined; format?: boolean } = {}): Promise<Caller> {
    const { signal, format = false } = options;
    throwIfCancelled(signal, 'Mounting the LUN');
    if (format && this.#holder !== undefined) throw mountedAlready();
    if (this.#isDisposed) throw new HoldfastError('shutting_down', 'The backend is closed.');
    this.#holder ??= this.#remember(this.#bringUp(format));
    return (await unlessCancelled(this.#holder, signal, 'Mounting the LUN')).caller;
  }

  /** Everybody shares a holder, and the attempt to start one, until its end. */
  #remember(starting: Promise<Holder>): Promise<Holder> {
    const forget = (): void => {
      if (this.#holder === starting) this.#holder = undefined;
    };
    starting.then(({ caller }) => caller.closed).then(forget, forget);
    return starting;
  }

  /** Unmounts and lets the LUN go. */
  async dispose(): Promise<void> {
    this.#isDisposed = true;
    const holder = await this.#holder?.catch(() => undefined);
    holder?.caller.close(new HoldfastError('shutting_down', 'The backend was closed.'));
    await this.#ending;
  }

  async #bringUp(format: boolean): Promise<Holder> {
    let holder: Holder | undefined;
    try {
      await this.#ending;
      holder = await this.#startHolder();
      await holder.caller.call('start', { ...this.#options.start, format }, { label: 'Mounting the LUN' });
      return holder;
    } catch (error) {
      holder?.caller.close(new HoldfastError('backend_unavailable', 'The LUN could not be mounted.'));
      await this.#ending;
      throw holder === undefined || holder.said() === '' ? error : withLastWords(error, holder.said());
    }
  }

  async #startHolder(): Promise<Holder> {
    const { stateDir, name, start, logger } = this.#options;
    requireRoot();
    if (!isAbsolute(stateDir))
      throw new HoldfastError('internal', 'The folder for the state of LUNs must be absolute.');
    const folder = join(stateDir, name);
    await makeFolderDurably(stateDir, 0o700);
    await makeFolderDurably(folder, 0o700);
    await awaitClaim(folder, start.connection.stallMs + goingDownMs);
    const child = spawn(
      'unshare',
      ['--mount', '--propagation', 'private', process.execPath, '--no-warnings', holderProgram],
      // A group of its own: an interrupt from the terminal is for the hub, which takes the holder down in order.
      { cwd: folder, env: toolEnvironment, stdio: ['ignore', 'ignore', 'pipe', 'pipe'], detached: true },
    );
    await once(child, 'spawn').catch((error: unknown) => {
      throw toolMissing('unshare', error);
    });
    const exited = new Promise<void>((resolve) => {
      child.once('exit', () => resolve());
    });
    let said = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said = text.trim().slice(-maxSaidCharacters);
      for (const line of text.trim().split('\n')) logger?.warn({ target: start.connection.target }, line);
    });
    const channel = child.stdio[3];
    if (!(channel instanceof Socket)) throw new Error('The process was started without a channel.');
    const caller = new Caller(channel, holderSilenceMs);
    const holder: Holder = { child, caller, exited, said: () => said };
    child.unref();
    if (child.stderr instanceof Socket) child.stderr.unref();
    this.#ending = this.#follow(holder);
    return holder;
  }

  /** Waits for the end of a holder; one that does not end by itself is killed, and the kernel cleans up after it. */
  async #follow({ child, caller, exited }: Holder): Promise<void> {
    await caller.closed;
    child.ref();
    const timer = setTimeout(
      () => child.kill('SIGKILL'),
      this.#options.start.connection.stallMs + goingDownMs,
    );
    await exited;
    clearTimeout(timer);
  }
}

/** A holder that ends before it can tell why (a namespace that it may not make) has only its standard error. */
function withLastWords(error: unknown, said: string): unknown {
  if (!(error instanceof ProcessEnded)) return error;
  const text = `The LUN cannot be mounted on this machine: ${said}`;
  return new HoldfastError('backend_unavailable', text.endsWith('.') ? text : `${text}.`, { cause: error });
}

function mountedAlready(): HoldfastError {
  const message = 'The LUN is not formatted, because this hub has it mounted already.';
  return new HoldfastError('validation_failed', message, { errors: [{ field: 'config.lun', message }] });
}

function requireRoot(): void {
  if (process.getuid?.() === 0) return;
  const message =
    'Mounting the file system of a LUN needs root (CAP_SYS_ADMIN), and the hub runs as another user.';
  throw new HoldfastError('backend_unavailable', message, {
    retryable: false,
    errors: [{ field: 'config.mode', message }],
  });
}
