import type { CommandContext } from './context.ts';

/** An option of a command, as commander writes it. */
export interface OptionSpec {
  /** `-r, --recursive`, `--scope <scope...>`. Its value is asked for by the long name in camelCase. */
  flags: string;
  summary: string;
  /** The only values that are taken. */
  choices?: readonly string[];
}

/** An argument of a command, in order. */
export interface ArgumentSpec {
  /** `<path>`, `[path]`, `<path...>`. */
  form: string;
  summary: string;
  choices?: readonly string[];
}

/** A command line that works, and what it does. */
export type Example = readonly [line: string, does: string];

/** What the code of a command exports. */
export interface CommandModule {
  run: (context: CommandContext) => Promise<void>;
}

/** A command as help, completion and the parser see it. Its code is loaded when it runs. */
export interface CommandSpec {
  /** One word, or a group and a word: `backends add`. */
  name: string;
  /** One line, for the list of commands. */
  summary: string;
  /** What there is to know beyond the summary. */
  description?: string;
  arguments?: readonly ArgumentSpec[];
  options?: readonly OptionSpec[];
  /** At least two. */
  examples: readonly [Example, Example, ...Example[]];
  /** Exit codes that mean something special here. */
  exitCodes?: readonly string[];
  /** Everything behind the name goes to the command as it is. */
  passThrough?: boolean;
  /** For programs, not for people: left out of the help and of completion. */
  isHidden?: boolean;
  load: () => Promise<CommandModule>;
}

/** Commands that share their first word: `backends list`, `backends add`. */
export interface GroupSpec {
  name: string;
  summary: string;
}
