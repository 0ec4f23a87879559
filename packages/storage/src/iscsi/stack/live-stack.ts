import { makeFolderDurably } from '@holdfast/bytes/durable-folder';
import { HoldfastError } from '@holdfast/contract/errors';
import { isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startHolder } from '../../holder/holder-process.ts';
import type { HolderProcess } from '../../holder/holder-process.ts';
import { LiveHolder } from '../../holder/live-holder.ts';
import type { Caller } from '../calls/caller.ts';
import type { IscsiLogger } from '../config.ts';
import { awaitClaim } from './claim.ts';
import type { VolumeStart } from './volume-start.ts';

const holderProgram = fileURLToPath(new URL('holder-main.ts', import.meta.url));
/** On top of the patience with the target: for unmounting, and for programs to end. */
const goingDownMs = 15_000;

export interface StackOptions {
  stateDir: string;
  /** Name of the stack's folder in `stateDir`. */
  name: string;
  /** What a bring-up needs to know, but for whether to format. */
  start: Omit<VolumeStart, 'format'>;
  logger?: IscsiLogger | undefined;
}

/** The mounted LUN of this process: brought up when it is first needed, and again after it was lost. */
export class LiveStack {
  readonly #options: StackOptions;
  readonly #holder: LiveHolder;

  constructor(options: StackOptions) {
    this.#options = options;
    this.#holder = new LiveHolder({ what: 'The LUN', begin: () => this.#begin() });
  }

  /**
   * The channel to the process that has the LUN mounted.
   * @param options.format makes a file system on the LUN, which must be blank and not mounted
   * @throws HoldfastError why it cannot be brought up
   */
  async caller(options: { signal?: AbortSignal | undefined; format?: boolean } = {}): Promise<Caller> {
    const { signal, format = false } = options;
    if (format && this.#holder.isUp) throw mountedAlready();
    const start = { ...this.#options.start, format } satisfies VolumeStart;
    return this.#holder.caller(start, signal);
  }

  /** Unmounts and lets the LUN go. */
  async dispose(): Promise<void> {
    await this.#holder.dispose();
  }

  async #begin(): Promise<HolderProcess> {
    const { stateDir, name, start, logger } = this.#options;
    const { stallMs, target } = start.connection;
    requireRoot();
    if (!isAbsolute(stateDir))
      throw new HoldfastError('internal', 'The folder for the state of LUNs must be absolute.');
    const folder = join(stateDir, name);
    await makeFolderDurably(stateDir, 0o700);
    await makeFolderDurably(folder, 0o700);
    await awaitClaim(folder, stallMs + goingDownMs);
    return startHolder({
      program: holderProgram,
      folder,
      patienceMs: stallMs + goingDownMs,
      onSaid: (line) => logger?.warn({ target }, line),
    });
  }
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
