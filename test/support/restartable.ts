import type { RunningProcess } from './process.ts';
import { startProcess } from './process.ts';

/** A server process that a test can kill, freeze and start again on the same port. */
export interface Restartable extends AsyncDisposable {
  readonly pid: number;
  /** Ends it at once (SIGKILL) and waits until it is gone. */
  kill(): Promise<void>;
  /** Starts it again after a kill; resolves when it takes connections. */
  restart(): Promise<void>;
  /** Stops it as it is (SIGSTOP): it takes connections, and answers nothing. */
  freeze(): void;
  /** Lets a frozen one go on. */
  thaw(): void;
}

export interface ServerCommand {
  command: string;
  args: readonly string[];
  /** Printed when it is about to take connections. */
  ready: RegExp;
  /** Where it prints that. Default: standard error. */
  stream?: 'stdout' | 'stderr';
  /** The Debian package, named when the program is missing. */
  debianPackage: string;
}

/** Starts a server in the foreground. Throws with its log when it does not come up within 10 s. */
export async function startRestartable(server: ServerCommand): Promise<Restartable> {
  const { command, args, ready, stream = 'stderr', debianPackage } = server;
  async function start(): Promise<RunningProcess> {
    const started = await startProcess(command, args);
    try {
      await started.waitForOutput(ready, { timeoutMs: 10_000, stream });
      return started;
    } catch (error) {
      await started[Symbol.asyncDispose]();
      const text = `${command} did not start. Is the Debian package ${debianPackage} installed?`;
      throw new Error(text, { cause: error });
    }
  }
  let running = await start();
  const kill = async (): Promise<void> => running[Symbol.asyncDispose]();
  return {
    get pid() {
      return running.pid;
    },
    kill,
    restart: async () => {
      running = await start();
    },
    freeze: () => void running.kill('SIGSTOP'),
    thaw: () => void running.kill('SIGCONT'),
    [Symbol.asyncDispose]: kill,
  };
}
