import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { findImports } from './import-statements.ts';

function specifiers(source: string): string[] {
  return findImports(source).map((statement) => statement.specifier);
}

describe('findImports', () => {
  test.each([
    ["import { a } from './a.ts';", './a.ts'],
    ["import a, { type B, c as d } from './a.ts';", './a.ts'],
    ["import * as a from './a.ts';", './a.ts'],
    ["import {\n  a,\n  b,\n} from './a.ts';", './a.ts'],
    ['import "./a.ts";', './a.ts'],
    ["export { a } from './a.ts';", './a.ts'],
    ["export * from './a.ts';", './a.ts'],
    ["export * as a from './a.ts';", './a.ts'],
    ["const a = await import('./a.ts');", './a.ts'],
    ["let a: import('./a.ts').A;", './a.ts'],
    ["new Worker(new URL('./worker.ts', import.meta.url));", './worker.ts'],
    ["import data from './a.json' with { type: 'json' };", './a.json'],
    ["import from from './a.ts';", './a.ts'],
  ])('finds %s', (source, specifier) => {
    expect(specifiers(source)).toEqual([specifier]);
  });

  test.each([
    ["// import { a } from './a.ts';"],
    ["/* import { a } from './a.ts'; */"],
    ["const text = `import { a } from './a.ts';`;"],
    ["const text = `${`import('./a.ts')`}`;"],
    ['const text = "import { a } from \'./a.ts\';";'],
    ["const pattern = /import('.\\/a.ts')/;"],
    ["host.import('./a.ts');"],
    ['const url = import.meta.url;'],
    ["export const from = './a.ts';"],
    ["export type A = { from: './a.ts' };"],
    ["export { a };\nconst from = 'b';"],
    ["new URL('/api/v1', base);"],
  ])('finds nothing in %s', (source) => {
    expect(specifiers(source)).toEqual([]);
  });

  test.each([
    ["import type { A } from './a.ts';", true],
    ["import type A from './a.ts';", true],
    ["export type { A } from './a.ts';", true],
    ["export type * from './a.ts';", true],
    ["import { type A } from './a.ts';", false],
    ["import type from './a.ts';", false],
    ["import type, { b } from './a.ts';", false],
    ["import type from from './a.ts';", true],
  ])('knows whether %s is gone at run time', (source, typeOnly) => {
    expect(findImports(source)).toEqual([{ specifier: './a.ts', typeOnly, line: 1 }]);
  });

  test('goes on after regular expressions and divisions', () => {
    const source =
      "const a = /['\"`]/.test(x) ? 6 / 2 : y / 3;\nconst b = x.replace(/[/'`]/g, '');\nimport './a.ts';";
    expect(findImports(source)).toEqual([{ specifier: './a.ts', typeOnly: false, line: 3 }]);
  });

  test('finds an import inside a template substitution', () => {
    expect(specifiers("const a = `x ${{ b: await import('./a.ts') }.b} import('./no.ts')`;")).toEqual([
      './a.ts',
    ]);
  });

  test('any mix of noise around imports neither hides nor invents one', () => {
    const noise = fc.constantFrom(
      "// import './no.ts'",
      "/* import('./no.ts')\n */",
      'const t = `import "./no.ts" ${a + `${b}`} \\` `;',
      "const s = 'import(\"./no.ts\") \\' ';",
      'const r = /`import["`\'/]/u;',
      'const q = (a + b) / c / d;',
      'if (a) { b({ c: {} }); }',
      'export const from = 1;',
      'export function f(): void {}',
    );
    const real = fc.constantFrom(
      "import './yes.ts';",
      "export {\n x\n} from './yes.ts';",
      "void import('./yes.ts');",
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(noise, real), { maxLength: 30 }), (lines) => {
        const expected = lines.filter((line) => line.includes('./yes.ts')).length;
        expect(specifiers(lines.join('\n'))).toEqual(Array.from({ length: expected }, () => './yes.ts'));
      }),
    );
  });

  test('any text at all is read to its end without an error', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (source) => {
        expect(Array.isArray(findImports(source))).toBe(true);
      }),
    );
    const pieces = fc.constantFrom(
      "'",
      '"',
      '`',
      '${',
      '}',
      '{',
      '/',
      '*',
      '\\',
      '\n',
      'import',
      'from',
      '(',
      ')',
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 40 }), (parts) => {
        expect(Array.isArray(findImports(parts.join('')))).toBe(true);
      }),
    );
  });
});
