import fc from 'fast-check';
import stringWidth from 'string-width';
import { expect, test } from 'vitest';
import { fittedTable, plainRows } from './table.ts';
import type { Column } from './table.ts';

interface Row {
  size: number;
  path: string;
}

const columns: Column<Row>[] = [
  { title: 'Size', align: 'right', text: ({ size }) => `${size} B`, plain: ({ size }) => String(size) },
  { title: 'Path', canShrink: true, text: ({ path }) => path },
];
const asIs = (text: string): string => text;
const linesOf = (table: string): string[] => table.split('\n').slice(0, -1);

test('columns line up by what a terminal shows, also of characters that take two columns', () => {
  const wide: Column<Row>[] = [...columns.toReversed()];
  const rows = [
    { size: 5, path: '日本語.txt' },
    { size: 1200, path: 'plain.txt' },
    { size: 7, path: 'e\u0301a\u0308.txt' },
  ];
  const lines = linesOf(fittedTable(wide, rows, 80, asIs));
  expect(lines).toEqual([
    'Path          Size',
    '日本語.txt     5 B',
    'plain.txt   1200 B',
    'e\u0301a\u0308.txt         7 B',
  ]);
  expect(new Set(lines.map((line) => stringWidth(line)))).toEqual(new Set([18]));
});

test('a path that is too long keeps its beginning and its end', () => {
  const rows = [{ size: 1, path: '/very/long/folder/names/above/the/file.iso' }];
  const [, line = ''] = linesOf(fittedTable(columns, rows, 30, asIs));
  expect(line).toMatch(/^ 1 B {2}\/very\/\S*…\S*file\.iso$/);
});

test('a table is no wider than the terminal, one line a row, whatever the names', () => {
  const row = fc.record({ size: fc.nat({ max: 1e6 }), path: fc.string({ unit: 'binary', maxLength: 60 }) });
  fc.assert(
    fc.property(fc.array(row, { maxLength: 5 }), fc.integer({ min: 24, max: 100 }), (rows, width) => {
      const lines = linesOf(fittedTable(columns, rows, width, asIs));
      expect(lines).toHaveLength(rows.length + 1);
      for (const line of lines) expect(stringWidth(line)).toBeLessThanOrEqual(width);
    }),
  );
});

test('a pipe gets plain values between tabs; tabs and line ends in names are escapes', () => {
  expect(plainRows(columns, [{ size: 5, path: 'a\tb\nc' }])).toBe('5\ta\\x09b\\x0ac\n');
});
