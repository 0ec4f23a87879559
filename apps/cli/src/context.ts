import type { HubClient } from '@holdfast/client/client';
import type { Options } from './options.ts';
import type { Output } from './output/output.ts';
import type { Credentials } from './profile/credentials.ts';

/** What a command gets to work with. */
export interface CommandContext {
  /** The arguments in order, those of a `<list...>` one by one. */
  readonly args: readonly string[];
  /** The command's own options. */
  readonly options: Options;
  /** --profile, --url, --json, --quiet, --yes, --timeout, --verbose. */
  readonly globals: Options;
  readonly output: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborted by Ctrl-C. Give it to everything that waits. */
  readonly signal: AbortSignal;
  /** Which hub, and with which key. */
  readonly credentials: () => Promise<Credentials>;
  /** A client of that hub. Its calls are aborted by Ctrl-C. */
  readonly hub: () => Promise<HubClient>;
  /** Where journals of unfinished transfers are kept. */
  readonly stateDir: string;
  /** What to print after Ctrl-C: the command that goes on. Default: nothing. */
  readonly onInterrupt: (goOn: string) => void;
  /** The command line as it was typed, quoted for a shell. */
  readonly commandLine: string;
  /** Ends with this code although nothing was thrown: `verify` found drift, some of many files failed. */
  readonly endWith: (exitCode: number) => void;
  /** Leaves signals and the end of the process to the command: the hub has its own way with both. */
  readonly hold: () => void;
}
