import type { CliOutput, CliOutputName } from '@holdfast/contract/cli-output';
import type { Terminal } from '../terminal.ts';
import { fittedTable, plainRows } from './table.ts';
import type { Column } from './table.ts';

export type OutputMode = 'human' | 'json' | 'quiet';

/** What a command says: its result on standard output, remarks on standard error. */
export class Output {
  readonly mode: OutputMode;
  readonly terminal: Terminal;

  constructor(mode: OutputMode, terminal: Terminal) {
    this.mode = mode;
    this.terminal = terminal;
  }

  /**
   * The result of a command: the JSON document with --json, nothing with --quiet, else what `human` writes.
   * @param name whose schema of `cliOutputs` the value has
   */
  result<N extends CliOutputName>(_name: N, value: CliOutput<N>, human: () => void): void {
    if (this.mode === 'json') this.terminal.stdout.write(`${JSON.stringify(value, undefined, 2)}\n`);
    else if (this.mode === 'human') human();
  }

  /** One line of a stream of results, with --json; `human` else. */
  streamed<N extends CliOutputName>(_name: N, value: CliOutput<N>, human: () => void): void {
    if (this.mode === 'json') this.terminal.stdout.write(`${JSON.stringify(value)}\n`);
    else if (this.mode === 'human') human();
  }

  /** A line of the result for a person. */
  line(text: string): void {
    if (this.mode === 'human') this.terminal.stdout.write(`${text}\n`);
  }

  /** A table on a terminal; tab-separated lines without headings in a pipe. */
  table<Row>(columns: readonly Column<Row>[], rows: readonly Row[], empty?: string): void {
    if (this.mode !== 'human') return;
    const { isOutputTty, stdout, paint, columns: width } = this.terminal;
    if (!isOutputTty) stdout.write(plainRows(columns, rows));
    else if (rows.length === 0) this.note(empty ?? 'Nothing to show.');
    else stdout.write(fittedTable(columns, rows, width(), (text) => paint('bold', text)));
  }

  /** Names and values, one pair a line. */
  fields(pairs: readonly (readonly [name: string, value: string])[]): void {
    if (!this.terminal.isOutputTty) {
      for (const [name, value] of pairs) this.line(`${name}\t${value}`);
      return;
    }
    const width = Math.max(...pairs.map(([name]) => name.length));
    for (const [name, value] of pairs) {
      this.line(`${this.terminal.paint('dim', name.padEnd(width))}  ${value}`);
    }
  }

  /** A remark for a person, on standard error; never with --json or --quiet. */
  note(text: string): void {
    if (this.mode === 'human') this.terminal.stderr.write(`${text}\n`);
  }

  /** What must be said even so: on standard error, whatever the mode. */
  warn(text: string): void {
    this.terminal.stderr.write(`${this.terminal.paintError('yellow', 'warning:')} ${text}\n`);
  }
}
