import { Argument, Command, CommanderError, Option } from 'commander';
import { commands, groups } from './commands.ts';
import type { CommandSpec, OptionSpec } from './command-spec.ts';
import { exitCodes, UsageError } from './exit-codes.ts';
import { tellFailure } from './failure.ts';
import { globalNames, globalOptions } from './global-options.ts';
import { exitCodeHelp, helpText } from './help-text.ts';
import { processTerminal } from './terminal.ts';
import { version } from './version.ts';

/** Parses the arguments behind the program's name, runs the command; resolves to the exit code. Never rejects. */
export async function runProgram(argv: readonly string[]): Promise<number> {
  // `holdfast ls | head` closes the pipe early; that is no failure to talk about.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    process.exit(error.code === 'EPIPE' ? exitCodes.done : exitCodes.failure);
  });
  let exitCode: number = exitCodes.done;
  const program = buildProgram(argv, (code) => (exitCode = code));
  try {
    await program.parseAsync(argv, { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return exitCodes.done;
    tellFailure(new UsageError(usageSentence(error)), {
      isJson: argv.includes('--json'),
      isVerbose: false,
      terminal: processTerminal(argv.includes('--no-color')),
    });
    return exitCodes.usage;
  }
}

function usageSentence(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  if (text === '(outputHelp)') return 'Which command? See "holdfast --help".';
  const said = text.replace(/^error: /, '').replace(/\n+/g, ' ');
  return `${said.charAt(0).toUpperCase()}${said.slice(1)}${/[.?)]$/.test(said) ? '' : '.'}`;
}

function buildProgram(argv: readonly string[], setExitCode: (code: number) => void): Command {
  const program = new Command('holdfast')
    .description('One place for every file that your machines need.')
    .version(version, '-V, --version', 'print the version')
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({ outputError: () => undefined })
    .addHelpText('after', exitCodeHelp);
  addOptions(program, globalOptions);
  const parents = new Map<string, Command>();
  for (const { name, summary } of groups) {
    parents.set(name, program.command(name).summary(summary).description(sentence(summary)));
  }
  for (const spec of commands) {
    const words = spec.name.split(' ');
    const own = words.at(-1) ?? spec.name;
    const parent = words.length === 1 ? program : parents.get(words[0] ?? '');
    if (parent === undefined) throw new TypeError(`The command ${spec.name} has no group.`);
    const command = parent
      .command(own, { hidden: spec.isHidden === true })
      .summary(spec.summary)
      .description(spec.description ?? sentence(spec.summary));
    configure(command, spec);
    command.action(async () => {
      setExitCode(await runLine(spec, command, program, argv));
    });
  }
  return program;
}

function configure(command: Command, spec: CommandSpec): void {
  if (spec.passThrough === true) {
    command.argument('[options...]', 'options of the command').allowUnknownOption().passThroughOptions();
    command.helpOption(false);
    return;
  }
  for (const { form, summary, choices } of spec.arguments ?? []) {
    const argument = new Argument(form, summary);
    command.addArgument(choices === undefined ? argument : argument.choices(choices));
  }
  addOptions(command, spec.options ?? []);
  addOptions(command, globalOptions, true);
  command.addHelpText('after', () => helpText(spec));
}

function addOptions(command: Command, options: readonly OptionSpec[], isHidden = false): void {
  for (const { flags, summary, choices } of options) {
    const option = new Option(flags, summary);
    if (isHidden) option.hideHelp();
    command.addOption(choices === undefined ? option : option.choices(choices));
  }
}

async function runLine(
  spec: CommandSpec,
  command: Command,
  program: Command,
  argv: readonly string[],
): Promise<number> {
  const { runCommand } = await import('./run-command.ts');
  const globals: Record<string, unknown> = {};
  const options: Record<string, unknown> = {};
  for (const from of [program, command]) {
    for (const [name, value] of Object.entries(from.opts<Record<string, unknown>>())) {
      if (from.getOptionValueSource(name) !== 'cli') continue;
      if (globalNames.includes(name)) globals[name] = value;
      else options[name] = value;
    }
  }
  return await runCommand(spec, { args: command.args, options, globals, argv });
}

function sentence(summary: string): string {
  return `${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`;
}
