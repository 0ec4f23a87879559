import type { Expression, ExpressionBuilder, SqlBool } from 'kysely';
import { HOST_FILE_HEAD_CHARACTERS, assertStorablePath, pathHead } from '../path-key.ts';
import type { Schema } from '../tables/schema.ts';

const LAST_CODE_POINT = 0x10_ff_ff;

/**
 * The first text, in the order of code points (which is that of UTF-8 bytes), that comes after all texts with this prefix;
 * null when nothing does.
 */
export function prefixEnd(prefix: string): string | null {
  const characters = Array.from(prefix);
  for (let index = characters.length - 1; index >= 0; index -= 1) {
    const codePoint = characters[index]?.codePointAt(0) ?? LAST_CODE_POINT;
    if (codePoint === LAST_CODE_POINT) continue;
    // Surrogates are no characters: U+D7FF is followed by U+E000.
    const next = codePoint === 0xd7_ff ? 0xe0_00 : codePoint + 1;
    return characters.slice(0, index).join('') + String.fromCodePoint(next);
  }
  return null;
}

/**
 * The condition that a path begins with a text. The bounds on the head follow from the others and let the index be used.
 * @throws HoldfastError `invalid_path`
 */
export function hasPrefix(eb: ExpressionBuilder<Schema, 'host_files'>, prefix: string): Expression<SqlBool> {
  assertStorablePath(prefix);
  const head = (text: string): string => pathHead(text, HOST_FILE_HEAD_CHARACTERS);
  const from = eb.and([
    eb('host_files.path_head', '>=', head(prefix)),
    eb('host_files.filepath', '>=', prefix),
  ]);
  const end = prefixEnd(prefix);
  if (end === null) return from;
  return eb.and([from, eb('host_files.path_head', '<=', head(end)), eb('host_files.filepath', '<', end)]);
}
