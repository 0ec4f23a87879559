import stringWidth from 'string-width';
import { printable } from './format.ts';

/** A column of a table. */
export interface Column<Row> {
  title: string;
  /** What a person sees. */
  text: (row: Row) => string;
  /** What a pipe gets, when that is another text: bytes in place of `1.5 KiB`. */
  plain?: (row: Row) => string;
  align?: 'left' | 'right';
  /** May be cut in the middle when the table is wider than the terminal. */
  canShrink?: boolean;
}

/** Rows for a pipe: values between tabs, no headings. Tabs and line ends within a value are written as escapes. */
export function plainRows<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  return rows
    .map((row) => `${columns.map((column) => printable((column.plain ?? column.text)(row))).join('\t')}\n`)
    .join('');
}

/**
 * A table for a terminal, no wider than `width` columns where columns that can shrink allow it.
 * @param heading how a heading is painted
 */
export function fittedTable<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  width: number,
  heading: (text: string) => string,
): string {
  const cells = rows.map((row) => columns.map((column) => printable(column.text(row))));
  const widths = columns.map((column, index) =>
    Math.max(stringWidth(column.title), ...cells.map((row) => stringWidth(row[index] ?? ''))),
  );
  shrink(columns, widths, width);
  const line = (texts: readonly string[]): string =>
    texts
      .map((text, index) => fit(text, widths[index] ?? 0, columns[index]?.align ?? 'left'))
      .join('  ')
      .trimEnd();
  const head = heading(line(columns.map((column) => column.title)));
  return [head, ...cells.map(line)].map((text) => `${text}\n`).join('');
}

function shrink<Row>(columns: readonly Column<Row>[], widths: number[], width: number): void {
  let excess = widths.reduce((sum, one) => sum + one, 2 * (widths.length - 1)) - width;
  for (const [index, column] of columns.entries()) {
    const own = widths[index] ?? 0;
    if (column.canShrink !== true || excess <= 0) continue;
    const taken = Math.min(excess, Math.max(0, own - 12));
    widths[index] = own - taken;
    excess -= taken;
  }
}

function fit(text: string, width: number, align: 'left' | 'right'): string {
  const shown = stringWidth(text) > width ? cut(text, width) : text;
  const blank = ' '.repeat(Math.max(0, width - stringWidth(shown)));
  return align === 'right' ? blank + shown : shown + blank;
}

/** The beginning and the end of a text with `…` between: of a path both are telling. */
function cut(text: string, width: number): string {
  const characters = [...new Intl.Segmenter().segment(text)].map(({ segment }) => segment);
  const take = (from: readonly string[], columns: number): string[] => {
    const taken: string[] = [];
    let used = 0;
    for (const character of from) {
      used += stringWidth(character);
      if (used > columns) break;
      taken.push(character);
    }
    return taken;
  };
  const start = take(characters, Math.floor((width - 1) / 2));
  const end = take(characters.toReversed(), Math.ceil((width - 1) / 2));
  return `${start.join('')}…${end.toReversed().join('')}`;
}
