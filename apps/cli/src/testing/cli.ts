import path from 'node:path';
import { cliOutputs } from '@holdfast/contract/cli-output';
import type { CliOutputName } from '@holdfast/contract/cli-output';
import { startProcess } from '@holdfast/test-support/process';
import type { RunningProcess } from '@holdfast/test-support/process';
import { makeTempDir } from '@holdfast/test-support/temp-dir';
import type { z } from 'zod';

const repository = path.resolve(import.meta.dirname, '../../../..');
const nodeBinary = path.join(repository, 'node_modules/node/bin/node');
const terminalScript = path.join(import.meta.dirname, 'on-terminal.py');
const cliMain = path.join(repository, 'apps/cli/src/main.ts');

/** How a command has ended. */
export interface CliResult {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface CliRunOptions {
  env?: Record<string, string | undefined>;
  cwd?: string;
  /** Written to standard input. */
  input?: string;
}

/** What is typed on a terminal as soon as it shows something (a regular expression of Python) after the step before. */
export interface TypedStep {
  when: string;
  type: string;
}

/** What a terminal has shown, control sequences included, and how the command has ended. */
export interface TerminalResult {
  code: number | null;
  shown: string;
}

/** The command as a user with an own home directory has it. Disposing removes the home. */
export interface CliUnderTest extends AsyncDisposable {
  /** Home, configuration, state and working directory are below it. */
  readonly home: string;
  start(args: readonly string[], options?: CliRunOptions): Promise<RunningProcess>;
  run(args: readonly string[], options?: CliRunOptions): Promise<CliResult>;
  /** Runs it on a terminal of 120 columns, or as many as are given. Throws when a step was never reached. */
  onTerminal(
    args: readonly string[],
    options?: { steps?: readonly TypedStep[]; columns?: number; env?: Record<string, string | undefined> },
  ): Promise<TerminalResult>;
  /** Runs it with --json; throws unless it ends well with a document that its schema knows. */
  json<N extends CliOutputName>(
    name: N,
    args: readonly string[],
    options?: CliRunOptions & { code?: number },
  ): Promise<z.output<(typeof cliOutputs)[N]>>;
}

/** @param hub whom the environment names; null: none, for tests of profiles */
export async function makeCli(hub: { url: string; adminKey: string } | null): Promise<CliUnderTest> {
  const dir = await makeTempDir('cli');
  const home = dir.path;
  const environment = {
    HOME: home,
    XDG_CONFIG_HOME: undefined,
    XDG_STATE_HOME: undefined,
    HOLDFAST_CONFIG_DIR: path.join(home, 'config'),
    HOLDFAST_STATE_DIR: path.join(home, 'state'),
    HOLDFAST_PROFILE: undefined,
    HOLDFAST_URL: hub?.url,
    HOLDFAST_API_KEY: hub?.adminKey,
    NO_COLOR: undefined,
    FORCE_COLOR: undefined,
  };
  const start = (args: readonly string[], options: CliRunOptions = {}): Promise<RunningProcess> =>
    startProcess(nodeBinary, [cliMain, ...args], {
      cwd: options.cwd ?? home,
      env: { ...environment, ...options.env },
      ...(options.input === undefined ? {} : { input: options.input }),
    });
  const run = async (args: readonly string[], options?: CliRunOptions): Promise<CliResult> => {
    await using child = await start(args, options);
    const { code } = await child.exited;
    return { code, stdout: child.stdout(), stderr: child.stderr() };
  };
  return {
    home,
    start,
    run,
    async onTerminal(args, { steps = [], columns = 120, env = {} } = {}) {
      const script = { command: [nodeBinary, cliMain, ...args], columns, steps };
      await using child = await startProcess('python3', [terminalScript, JSON.stringify(script)], {
        cwd: home,
        env: { ...environment, TERM: 'xterm-256color', ...env },
      });
      const { code } = await child.exited;
      if (child.stderr() !== '') throw new Error(`${child.stderr()}\n${child.stdout()}`);
      return { code, shown: child.stdout() };
    },
    async json(name, args, options) {
      const result = await run([...args, '--json'], options);
      if (result.code !== (options?.code ?? 0)) {
        throw new Error(`${args.join(' ')} ended with ${result.code}: ${result.stdout}${result.stderr}`);
      }
      const printed: unknown = JSON.parse(result.stdout);
      requireOutput(name, printed);
      return printed;
    },
    [Symbol.asyncDispose]: () => dir[Symbol.asyncDispose](),
  };
}

function requireOutput<N extends CliOutputName>(
  name: N,
  printed: unknown,
): asserts printed is z.output<(typeof cliOutputs)[N]> {
  cliOutputs[name].parse(printed);
}
