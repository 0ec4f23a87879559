import { once } from 'node:events';
import { spawn } from 'node:child_process';
import { Socket } from 'node:net';
import { Caller } from '../iscsi/calls/caller.ts';
import { toolEnvironment, toolMissing } from '../iscsi/stack/tool.ts';

/** A process of this machine that is silent for so long is stuck; a dead server does not keep it from answering. */
const holderSilenceMs = 30_000;
const keptCharacters = 4000;
const shownCharacters = 500;

export interface HolderOptions {
  /** Absolute path of the program, which answers calls on descriptor 3 and goes down when that ends. */
  program: string;
  /** Its working directory. */
  folder: string;
  /** Milliseconds that it has for going down; it is killed then, and the kernel cleans up after it. */
  patienceMs: number;
  /** The end of one that was killed is not waited for: the kernel may keep it for as long as a server is dead. */
  mayLinger?: boolean;
  /** Called with each line that it writes to standard error. */
  onSaid: (line: string) => void;
}

/**
 * A process in a mount namespace of its own, which mounts something there and does the hub's work on its files. What
 * blocks on a dead server blocks there, and not in the hub.
 */
export interface HolderProcess {
  readonly caller: Caller;
  /** Settles when it is gone. Never rejects. */
  readonly ended: Promise<void>;
  /** The last that it wrote to standard error. */
  said(): string;
}

/**
 * Starts a holder. It keeps nobody's process alive while no call is under way.
 * @throws HoldfastError `backend_unavailable` when a program of the system is missing
 */
export async function startHolder(options: HolderOptions): Promise<HolderProcess> {
  const { program, folder, patienceMs, mayLinger = false, onSaid } = options;
  const child = spawn(
    'unshare',
    ['--mount', '--propagation', 'private', process.execPath, '--no-warnings', program],
    // A group of its own: an interrupt from the terminal is for the hub, which takes the holder down in order.
    { cwd: folder, env: toolEnvironment(), stdio: ['ignore', 'ignore', 'pipe', 'pipe'], detached: true },
  );
  await once(child, 'spawn').catch((error: unknown) => {
    throw toolMissing('unshare', error);
  });
  const exited = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
  });
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-keptCharacters);
    for (const line of text.trim().split('\n')) onSaid(line);
  });
  const channel = child.stdio[3];
  if (!(channel instanceof Socket)) throw new Error('The process was started without a channel.');
  const caller = new Caller(channel, holderSilenceMs);
  child.unref();
  if (child.stderr instanceof Socket) child.stderr.unref();
  const follow = async (): Promise<void> => {
    await caller.closed;
    child.ref();
    const killed = Promise.withResolvers<void>();
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      if (mayLinger) killed.resolve();
    }, patienceMs);
    await Promise.race([exited, killed.promise]);
    child.unref();
    clearTimeout(timer);
  };
  return { caller, ended: follow(), said: () => lastWords(said) };
}

/** Without the frames of a stack, native or not, and the rulers around them: they would hide what happened. */
function lastWords(said: string): string {
  const isWord = (line: string): boolean => !/^\s*(?:\d+: 0x|at |-{3,}|#?\s*$)/.test(line);
  return said.split('\n').filter(isWord).join('\n').trim().slice(-shownCharacters);
}
