/** A piece of TypeScript source that matters for finding imports. Comments, templates and regular expressions are left out. */
export interface Token {
  kind: 'word' | 'string' | 'punctuation';
  /** The word, the text between the quotes as it is written, or one punctuation character. */
  text: string;
  /** 1-based. */
  line: number;
}

/** After these a slash starts a regular expression; after anything else it divides. */
const beforeRegex = new Set('( , = : [ ! & | ? { } ; + - * % ~ ^ >'.split(' '));
const wordsBeforeRegex = new Set([
  'return',
  'typeof',
  'case',
  'in',
  'of',
  'delete',
  'void',
  'throw',
  'new',
  'else',
  'do',
]);
const wordStart = /[\p{ID_Start}$_#\d]/u;
const wordPattern = /[\p{ID_Continue}$#\u200c\u200d]+/uy;

/** The index just after a regular expression that starts at `start`, or `start` when it does not end on its line. */
function endOfRegex(source: string, start: number): number {
  let inClass = false;
  for (let i = start + 1; i < source.length; i += 1) {
    const char = source[i];
    if (char === '\n') return start;
    if (char === '\\') i += 1;
    else if (char === '[') inClass = true;
    else if (char === ']') inClass = false;
    else if (char === '/' && !inClass) return i + 1;
  }
  return start;
}

/** The index just after a quoted string that starts at `start`; an unclosed one ends with its line. */
function endOfString(source: string, start: number): number {
  const quote = source[start];
  for (let i = start + 1; i < source.length; i += 1) {
    const char = source[i];
    if (char === '\\') i += 1;
    else if (char === quote || char === '\n') return i + 1;
  }
  return source.length;
}

/** The index of the next `${` or just after the closing backtick, from inside a template. */
function endOfTemplatePart(source: string, start: number): { end: number; substitution: boolean } {
  for (let i = start; i < source.length; i += 1) {
    const char = source[i];
    if (char === '\\') i += 1;
    else if (char === '`') return { end: i + 1, substitution: false };
    else if (char === '$' && source[i + 1] === '{') return { end: i + 2, substitution: true };
  }
  return { end: source.length, substitution: false };
}

function startsRegex(previous: Token | undefined): boolean {
  if (previous === undefined) return true;
  if (previous.kind === 'word') return wordsBeforeRegex.has(previous.text);
  return previous.kind === 'punctuation' && beforeRegex.has(previous.text);
}

/**
 * Cuts TypeScript source into tokens, well enough to find its imports: what is quoted, commented out or inside a
 * template is never mistaken for code.
 */
export function tokenise(source: string): Token[] {
  const tokens: Token[] = [];
  /** Depth of braces at which each open template substitution ends. */
  const substitutions: number[] = [];
  let depth = 0;
  let line = 1;
  let at = source.startsWith('#!') ? Math.max(source.indexOf('\n'), 0) : 0;

  const advance = (end: number): void => {
    for (let i = at; i < end; i += 1) if (source[i] === '\n') line += 1;
    at = end;
  };
  const readTemplate = (from: number): void => {
    const part = endOfTemplatePart(source, from);
    if (part.substitution) substitutions.push(depth);
    else tokens.push({ kind: 'string', text: '', line });
    advance(part.end);
  };

  while (at < source.length) {
    const char = source.charAt(at);
    const next = source.charAt(at + 1);
    if (char === '/' && next === '/') {
      const end = source.indexOf('\n', at);
      advance(end < 0 ? source.length : end);
    } else if (char === '/' && next === '*') {
      const end = source.indexOf('*/', at + 2);
      advance(end < 0 ? source.length : end + 2);
    } else if (char === "'" || char === '"') {
      const end = endOfString(source, at);
      tokens.push({ kind: 'string', text: source.slice(at + 1, end - 1), line });
      advance(end);
    } else if (char === '`') {
      readTemplate(at + 1);
    } else if (char === '}' && substitutions.at(-1) === depth) {
      substitutions.pop();
      readTemplate(at + 1);
    } else if (char === '/' && startsRegex(tokens.at(-1)) && endOfRegex(source, at) > at) {
      const end = endOfRegex(source, at);
      tokens.push({ kind: 'string', text: '', line });
      advance(end);
    } else if (wordStart.test(char)) {
      wordPattern.lastIndex = at;
      const text = wordPattern.exec(source)?.[0] ?? char;
      tokens.push({ kind: 'word', text, line });
      advance(at + text.length);
    } else {
      if (char === '{') depth += 1;
      if (char === '}') depth -= 1;
      if (!/\s/.test(char)) tokens.push({ kind: 'punctuation', text: char, line });
      advance(at + 1);
    }
  }
  return tokens;
}
