import type { CommandSpec } from './command-spec.ts';

/** What every help of the program ends with. */
export const exitCodeHelp = `
Paths: NAME:/path is on the backend NAME, hub:/HOST/path is what a machine sent, - is standard input or output,
anything else is on this machine.

Exit codes: 0 done, 1 failure, 2 wrong usage, 3 not found, 4 refused, 5 integrity, 6 unreachable, 130 interrupted.

"holdfast COMMAND --help" has the options and examples of a command.`;

/** The part of a command's help below its options: examples and special exit codes. */
export function helpText(spec: CommandSpec): string {
  const lines = ['', 'Examples:'];
  for (const [line, does] of spec.examples) lines.push(`  $ ${line}`, `      ${does}`);
  if (spec.exitCodes !== undefined) {
    lines.push('', 'Exit codes:', ...spec.exitCodes.map((text) => `  ${text}`));
  }
  lines.push(
    '',
    'Every command takes --profile, --url, --json, --quiet, --yes, --no-color, --timeout, --verbose.',
  );
  return lines.join('\n');
}
