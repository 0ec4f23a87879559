import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { runProcess } from './process.ts';
import { makeTempDir } from './temp-dir.ts';

const columns = 110;
const rows = 32;

/** A terminal as a person sees it. Disposing ends what runs in it. */
export interface Terminal extends AsyncDisposable {
  /** Types a line and presses Enter. */
  enter(line: string): Promise<void>;
  /** Presses a key by its name in tmux: `C-c`, `Up`. */
  press(key: string): Promise<void>;
  /** What the screen shows now, without the blank lines at its end. */
  screen(): Promise<string>;
  /**
   * Resolves with the first match on the screen; looks whenever something is written to it.
   * Throws with the last screen when the time is over.
   * @param timeoutMs default: 60,000
   */
  waitFor(pattern: RegExp, timeoutMs?: number): Promise<{ match: RegExpExecArray; screen: string }>;
}

export interface TerminalOptions {
  /** The whole environment of the shell, but for TERM and its prompt, which is `$ `. */
  env: Readonly<Record<string, string>>;
  cwd: string;
}

/** Opens a terminal of 110 columns and 32 rows with a shell in it, under a tmux server of its own. */
export async function openTerminal({ env, cwd }: TerminalOptions): Promise<Terminal> {
  await using resources = new AsyncDisposableStack();
  const dir = resources.use(await makeTempDir('tmux'));
  const socket = dir.join('socket');
  const outside = { ...process.env, TMUX: undefined };
  const tmux = async (...args: string[]): Promise<string> => {
    const { stdout } = await runProcess('tmux', ['-S', socket, ...args], { env: { TMUX: undefined } });
    return stdout;
  };
  const variables = Object.entries({ TERM: 'screen-256color', PS1: '$ ', ...env });
  const shell = ['env', '-i', ...variables.map(([name, value]) => `${name}=${value}`), 'sh'];
  // A client in control mode is told of all that is written (tmux(1), CONTROL MODE). It ends with this process, the session
  // with its last client, and the server with its last session.
  const start = ['-u', '-S', socket, '-f', '/dev/null', '-C', 'new-session', '-c', cwd, ...shell];
  const client = spawn('setpriv', ['--pdeathsig', 'KILL', 'tmux', ...start], {
    stdio: ['pipe', 'pipe', 'ignore'],
    env: outside,
  });
  const ended = new Promise<void>((resolve) => {
    client.once('close', () => resolve());
  });
  resources.defer(async () => {
    await tmux('kill-server').catch(() => client.kill('SIGKILL'));
    await ended;
  });
  await once(client.stdout, 'data');
  // Carried out before anything that is typed later, as the server takes one command after the other.
  client.stdin.write(`set-option destroy-unattached on\nrefresh-client -C ${columns},${rows}\n`);
  client.stdout.resume();

  const screen = async (): Promise<string> => (await tmux('capture-pane', '-p')).trimEnd();
  const owned = resources.move();
  return {
    async enter(line) {
      await tmux('send-keys', '-l', line);
      await tmux('send-keys', 'Enter');
    },
    async press(key) {
      await tmux('send-keys', key);
    },
    screen,
    async waitFor(pattern, timeoutMs = 60_000) {
      const patience = AbortSignal.timeout(timeoutMs);
      let last = '';
      for (;;) {
        const written = once(client.stdout, 'data', { signal: patience });
        // Looked at later; a time limit that ends it meanwhile is no unhandled rejection.
        written.catch(() => {});
        last = await screen();
        const match = new RegExp(pattern).exec(last);
        if (match !== null) return { match, screen: last };
        try {
          await written;
        } catch (error) {
          throw new Error(`The terminal did not show ${String(pattern)} within ${timeoutMs} ms:\n${last}`, {
            cause: error,
          });
        }
      }
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
