import { HoldfastError } from '@holdfast/contract/errors';
import { fieldProblems } from '@holdfast/contract/problem';
import type { z } from 'zod';
import { UsageError } from '../exit-codes.ts';

/** Takes `name=value` apart at the first `=`. @throws UsageError for a text without one */
export function assignments(texts: readonly string[]): [name: string, value: string][] {
  return texts.map((text) => {
    const at = text.indexOf('=');
    if (at < 1) throw new UsageError(`"${text}" is not of the form name=value.`);
    return [text.slice(0, at), text.slice(at + 1)];
  });
}

/**
 * The value that a text of the command line means for a field: the text itself where the field takes texts, else a number,
 * `true`, `false`, `null`, or a list by commas. A text that the field takes in no form comes out in the form whose refusal
 * tells most.
 */
export function fieldValue(schema: z.ZodType, text: string): unknown {
  let telling: unknown = text;
  let isTelling = false;
  for (const candidate of candidates(text)) {
    const parsed = schema.safeParse(candidate);
    if (parsed.success) return candidate;
    const isWrongKind = parsed.error.issues.some(
      ({ code, path }) => code === 'invalid_type' && path.length === 0,
    );
    if (isTelling || isWrongKind) continue;
    telling = candidate;
    isTelling = true;
  }
  return telling;
}

/**
 * A value by its schema.
 * @param what how the sentence names the value: `The settings`
 * @throws HoldfastError `validation_failed` with the refused fields
 */
export function checked<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  what: string,
): z.output<Schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const errors = fieldProblems(parsed.error);
  throw new HoldfastError('validation_failed', `${what} cannot be so; nothing was changed:`, { errors });
}

function* candidates(text: string): Generator {
  if (text === 'null') yield null;
  yield text;
  if (/^-?\d+(?:\.\d+)?$/.test(text)) yield Number(text);
  if (text === 'true' || text === 'false') yield text === 'true';
  yield text === ''
    ? []
    : text
        .split(',')
        .map((one) => one.trim())
        .filter((one) => one !== '');
}
