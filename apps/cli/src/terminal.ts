import { styleText } from 'node:util';

/** Where the command writes to, and what that can show. */
export interface Terminal {
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  readonly stdin: NodeJS.ReadStream;
  /** Standard output is a terminal: tables and sizes are for a person. */
  readonly isOutputTty: boolean;
  /** Standard error is a terminal: bars are drawn. */
  readonly isErrorTty: boolean;
  /** Standard input and standard error are terminals: questions can be asked. */
  readonly canAsk: boolean;
  /** Columns of the terminal; 80 where it does not say. */
  columns: () => number;
  /** Colours a text for standard output when colours are wanted there. */
  paint: (style: Style, text: string) => string;
  /** The same for standard error. */
  paintError: (style: Style, text: string) => string;
}

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';

/**
 * Whether to colour: `--no-color` and NO_COLOR (no-color.org: set and not empty) forbid it, FORCE_COLOR (not `0`) asks
 * for it, else a terminal that is not `dumb` gets colours.
 */
function wantsColor(
  env: Readonly<Record<string, string | undefined>>,
  isTty: boolean,
  isForbidden: boolean,
): boolean {
  if (isForbidden || (env['NO_COLOR'] ?? '') !== '') return false;
  const forced = env['FORCE_COLOR'];
  if (forced !== undefined) return forced !== '0' && forced !== 'false';
  return isTty && env['TERM'] !== 'dumb';
}

/** The terminal of this process. */
export function processTerminal(isColorForbidden: boolean): Terminal {
  const { stdout, stderr, stdin, env } = process;
  const isOutputTty = stdout.isTTY;
  const isErrorTty = stderr.isTTY;
  const colors = wantsColor(env, isOutputTty, isColorForbidden);
  const errorColors = wantsColor(env, isErrorTty, isColorForbidden);
  const paint = (isOn: boolean, style: Style, text: string): string =>
    isOn ? styleText(style, text, { validateStream: false }) : text;
  return {
    stdout,
    stderr,
    stdin,
    isOutputTty,
    isErrorTty,
    canAsk: stdin.isTTY && isErrorTty,
    columns: () => (isOutputTty ? stdout.columns : isErrorTty ? stderr.columns : 80) || 80,
    paint: (style, text) => paint(colors, style, text),
    paintError: (style, text) => paint(errorColors, style, text),
  };
}
