import type { OptionSpec } from './command-spec.ts';

/** Options that every command takes, before or behind its name. */
export const globalOptions: readonly OptionSpec[] = [
  { flags: '--profile <name>', summary: 'the profile to use (else HOLDFAST_PROFILE, else the last login)' },
  { flags: '--url <url>', summary: 'the hub (else HOLDFAST_URL, else that of the profile)' },
  { flags: '--json', summary: 'one JSON document on standard output; errors as problem JSON' },
  { flags: '-q, --quiet', summary: 'print errors only' },
  { flags: '-y, --yes', summary: 'do not ask before something is destroyed' },
  { flags: '--no-color', summary: 'no colours (so does NO_COLOR)' },
  { flags: '--timeout <seconds>', summary: 'how long to wait for an answer and to try again' },
  { flags: '--verbose', summary: 'show the causes of an error' },
];

/** The values that were given on the command line, by the names of the options in camelCase. */
export const globalNames: readonly string[] = [
  'profile',
  'url',
  'json',
  'quiet',
  'yes',
  'color',
  'timeout',
  'verbose',
];
