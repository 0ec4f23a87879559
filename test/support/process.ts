import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { StringDecoder } from 'node:string_decoder';
import type { Readable } from 'node:stream';

/** Characters of output that are kept of each stream: enough for a whole serial console log. */
const keptCharacters = 4 * 1024 * 1024;

export interface ProcessExit {
  /** Exit status, or null when a signal ended it. */
  code: number | null;
  signal: NodeJS.Signals | null;
}

export interface ProcessOptions {
  /** Added to the environment of the test process; `undefined` takes a variable out. */
  env?: Record<string, string | undefined>;
  cwd?: string;
  /** Written to standard input, which is closed afterwards. */
  input?: string;
}

export interface WaitOptions {
  /** Milliseconds until the wait fails. */
  timeoutMs: number;
  /** Where to look. Default: standard output. */
  stream?: 'stdout' | 'stderr';
}

/** A running child process. Disposing kills its whole process group and waits until it is gone. */
export interface RunningProcess extends AsyncDisposable {
  readonly pid: number;
  /** Settles when the process has ended and all its output is read. Never rejects. */
  readonly exited: Promise<ProcessExit>;
  /** What it printed so far (the last 4 Mi characters). */
  stdout(): string;
  stderr(): string;
  /**
   * Resolves with the first match in the whole lines printed so far or to come.
   * Throws when the time is over or the process ends without it; the message holds the tail of the output.
   */
  waitForOutput(pattern: RegExp, options: WaitOptions): Promise<RegExpExecArray>;
  /** Sends a signal to the process alone. False when it has ended already. */
  kill(signal: NodeJS.Signals): boolean;
}

/**
 * Starts a program that cannot outlive the test process: the kernel kills it when its parent dies
 * (`setpriv --pdeathsig`, prctl(2) PR_SET_PDEATHSIG). The program keeps the pid, as setpriv only execs.
 */
export async function startProcess(
  command: string,
  args: readonly string[],
  options: ProcessOptions = {},
): Promise<RunningProcess> {
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', command, ...args], {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ['pipe', 'pipe', 'pipe'],
    // A process group of its own, so that dispose reaches what the program has started.
    detached: true,
  });
  await once(child, 'spawn');
  const { pid } = child;
  if (pid === undefined) throw new Error(`${command} was started but has no pid.`);

  const capture = { stdout: captureText(child.stdout), stderr: captureText(child.stderr) };
  const exited = new Promise<ProcessExit>((resolve) => {
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
  // A program that ends without reading its input breaks the pipe; its exit status tells the story.
  child.stdin.on('error', () => {});
  child.stdin.end(options.input);

  const describe = (what: string): Error =>
    new Error(`${command} (pid ${pid}) ${what}.\n${tailOf(capture.stdout.text(), capture.stderr.text())}`);

  return {
    pid,
    exited,
    stdout: capture.stdout.text,
    stderr: capture.stderr.text,
    waitForOutput(pattern, { timeoutMs, stream = 'stdout' }) {
      return new Promise((resolve, reject) => {
        const finish = (settle: () => void): void => {
          clearTimeout(timer);
          stopWatching();
          settle();
        };
        const look = (): boolean => {
          const text = capture[stream].text();
          const match = new RegExp(pattern).exec(text.slice(0, text.lastIndexOf('\n') + 1));
          if (match === null) return false;
          finish(() => resolve(match));
          return true;
        };
        const stopWatching = capture[stream].watch(look);
        const timer = setTimeout(() => {
          finish(() => reject(describe(`did not print ${String(pattern)} within ${timeoutMs} ms`)));
        }, timeoutMs);
        if (look()) return;
        void exited.then(({ code, signal }) => {
          if (look()) return;
          finish(() =>
            reject(describe(`ended with ${signal ?? `status ${code}`} before printing ${String(pattern)}`)),
          );
        });
      });
    },
    kill: (signal) => child.kill(signal),
    async [Symbol.asyncDispose]() {
      killGroup(pid);
      await exited;
    },
  };
}

export interface RunOptions extends ProcessOptions {
  /** Milliseconds until the program is killed and the call fails. Default: 60,000. */
  timeoutMs?: number;
  /** Exit statuses that are no failure. Default: only 0. */
  okCodes?: readonly number[];
}

export interface RunResult {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs a program to its end. Throws with the tail of its output when it fails or takes too long. */
export async function runProcess(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const { timeoutMs = 60_000, okCodes = [0] } = options;
  await using running = await startProcess(command, args, options);
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    killGroup(running.pid);
  }, timeoutMs);
  const { code, signal } = await running.exited;
  clearTimeout(timer);
  if (timedOut || code === null || !okCodes.includes(code)) {
    const what = timedOut ? `was killed after ${timeoutMs} ms` : `ended with ${signal ?? `status ${code}`}`;
    const line = [command, ...args].join(' ');
    throw new Error(`\`${line}\` ${what}.\n${tailOf(running.stdout(), running.stderr())}`);
  }
  return { code, stdout: running.stdout(), stderr: running.stderr() };
}

/** Kills a process group; one that has ended already is fine. */
function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

/** Collects a stream's text and tells watchers of every arrival. */
function captureText(stream: Readable): {
  text: () => string;
  watch: (watcher: () => unknown) => () => void;
} {
  const decoder = new StringDecoder('utf8');
  const watchers = new Set<() => unknown>();
  let text = '';
  stream.on('data', (chunk: Buffer) => {
    text = (text + decoder.write(chunk)).slice(-keptCharacters);
    for (const watcher of [...watchers]) watcher();
  });
  return {
    text: () => text,
    watch: (watcher) => {
      watchers.add(watcher);
      return () => watchers.delete(watcher);
    },
  };
}

/** The last lines of both streams, for an error message. */
function tailOf(stdout: string, stderr: string): string {
  const tail = (text: string): string => text.trimEnd().split('\n').slice(-40).join('\n') || '(nothing)';
  return `--- standard output ---\n${tail(stdout)}\n--- standard error ---\n${tail(stderr)}`;
}
