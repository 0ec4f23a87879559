import { tokenise, type Token } from './source-tokens.ts';

/** Something that one source file takes from another. */
export interface ImportStatement {
  /** What is written between the quotes. */
  specifier: string;
  /** Gone at run time: `import type`, `export type … from`. */
  typeOnly: boolean;
  /** 1-based. */
  line: number;
}

function isWord(token: Token | undefined, text: string): boolean {
  return token?.kind === 'word' && token.text === text;
}

function isPunctuation(token: Token | undefined, text: string): boolean {
  return token?.kind === 'punctuation' && token.text === text;
}

/** `type` as a modifier, and not as the name that is imported (`import type from 'x'`). */
function isTypeOnly(tokens: readonly Token[], index: number): boolean {
  if (!isWord(tokens[index], 'type')) return false;
  const after = tokens[index + 1];
  return !isPunctuation(after, ',') && !(isWord(after, 'from') && tokens[index + 2]?.kind === 'string');
}

/** The specifier of `… from 'x'` in the clause that starts at `index`. */
function specifierOfClause(tokens: readonly Token[], index: number): Token | undefined {
  for (let i = index; i < tokens.length; i += 1) {
    const token = tokens[i];
    const next = tokens[i + 1];
    if (isWord(token, 'from') && next?.kind === 'string') return next;
    const belongsToClause =
      token?.kind === 'word' ||
      ['{', '}', ',', '*'].some((text) => isPunctuation(token, text)) ||
      token?.kind === 'string';
    if (!belongsToClause) return undefined;
  }
  return undefined;
}

/** The specifier of `import(…)`, `import 'x'`, `new URL('x', import.meta…)` or an import or export clause at `index`. */
function statementAt(tokens: readonly Token[], index: number): ImportStatement | undefined {
  const token = tokens[index];
  const next = tokens[index + 1];
  const afterNext = tokens[index + 2];
  if (token?.kind !== 'word' || isPunctuation(tokens[index - 1], '.')) return undefined;

  const found = (specifier: Token, typeOnly: boolean): ImportStatement => {
    return { specifier: specifier.text, typeOnly, line: specifier.line };
  };
  if (token.text === 'import') {
    if (next?.kind === 'string') return found(next, false);
    // `import('x')` in a type is seen as an import of the value too: it is a dependency all the same.
    if (isPunctuation(next, '(')) return afterNext?.kind === 'string' ? found(afterNext, false) : undefined;
  }
  if (token.text === 'URL' && isPunctuation(next, '(') && afterNext?.kind === 'string') {
    const relative = /^\.\.?\//.test(afterNext.text) && isWord(tokens[index + 4], 'import');
    return relative ? found(afterNext, false) : undefined;
  }
  const startsClause =
    token.text === 'import' ||
    (token.text === 'export' &&
      (isPunctuation(next, '{') || isPunctuation(next, '*') || isWord(next, 'type')));
  if (!startsClause) return undefined;
  const specifier = specifierOfClause(tokens, index + 1);
  return specifier === undefined ? undefined : found(specifier, isTypeOnly(tokens, index + 1));
}

/** Every import and re-export of a source text, dynamic ones and worker files (`new URL(…, import.meta.url)`) included. */
export function findImports(source: string): ImportStatement[] {
  const tokens = tokenise(source);
  const statements: ImportStatement[] = [];
  for (let i = 0; i < tokens.length; i += 1) {
    const statement = statementAt(tokens, i);
    if (statement !== undefined) statements.push(statement);
  }
  return statements;
}
