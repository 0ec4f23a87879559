import type { HubClient } from '@holdfast/client/client';
import type { CommandSpec } from './command-spec.ts';
import { exitCodeOf, exitCodes } from './exit-codes.ts';
import { tellFailure } from './failure.ts';
import { Interrupt } from './interrupt.ts';
import { Options } from './options.ts';
import { shellQuoted } from './output/format.ts';
import { Output } from './output/output.ts';
import type { Credentials } from './profile/credentials.ts';
import { stateFolder } from './profile/folders.ts';
import { processTerminal } from './terminal.ts';
import { version } from './version.ts';

/** A command line, taken apart. */
export interface ParsedLine {
  args: readonly string[];
  options: Readonly<Record<string, unknown>>;
  globals: Readonly<Record<string, unknown>>;
  /** The arguments of the process, to say how to go on. */
  argv: readonly string[];
}

/** Runs a command from its options to its exit code; tells its failure. */
export async function runCommand(spec: CommandSpec, line: ParsedLine): Promise<number> {
  const globals = new Options(line.globals);
  const terminal = processTerminal(line.globals['color'] === false);
  const isJson = globals.flag('json');
  const output = new Output(isJson ? 'json' : globals.flag('quiet') ? 'quiet' : 'human', terminal);
  const env = process.env;
  using interrupt = new Interrupt();
  let exitCode: number = exitCodes.done;
  let goOn: string | undefined;

  const credentials = once(async (): Promise<Credentials> => {
    const { findCredentials } = await import('./profile/credentials.ts');
    return await findCredentials({ env, profile: globals.text('profile'), url: globals.text('url') });
  });
  const hub = once(async (): Promise<HubClient> => {
    const { url, apiKey } = await credentials();
    const { createClient } = await import('@holdfast/client/client');
    const seconds = globals.integer('timeout', 1, 86_400);
    return createClient({
      url,
      apiKey,
      signal: interrupt.signal,
      userAgent: `holdfast/${version}`,
      ...(seconds === undefined
        ? {}
        : { attemptTimeoutMs: seconds * 1000, retry: { totalMs: seconds * 1000 } }),
    });
  });

  try {
    const { run } = await spec.load();
    await run({
      args: line.args,
      options: new Options(line.options),
      globals,
      output,
      env,
      signal: interrupt.signal,
      credentials,
      hub,
      stateDir: stateFolder(env),
      onInterrupt: (command) => (goOn = command),
      commandLine: ['holdfast', ...line.argv].map(shellQuoted).join(' '),
      endWith: (code) => (exitCode = code),
      hold: () => interrupt[Symbol.dispose](),
    });
    return exitCode;
  } catch (error) {
    if (interrupt.signal.aborted || isLeftQuestion(error)) {
      if (!isJson) terminal.stderr.write(interruptedText(goOn));
      return exitCodes.interrupted;
    }
    tellFailure(error, { isJson, isVerbose: globals.flag('verbose'), terminal });
    return exitCodeOf(error);
  }
}

/** At a question Ctrl-C is a key like any other: @inquirer/core 12 throws this error for it. */
function isLeftQuestion(error: unknown): boolean {
  return error instanceof Error && error.name === 'ExitPromptError';
}

function interruptedText(goOn: string | undefined): string {
  return goOn === undefined
    ? '\nInterrupted.\n'
    : `\nInterrupted. What has arrived is kept. To go on:\n  ${goOn}\n`;
}

function once<Value>(make: () => Promise<Value>): () => Promise<Value> {
  let made: Promise<Value> | undefined;
  return () => (made ??= make());
}
