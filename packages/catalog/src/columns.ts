import { HoldfastError } from '@holdfast/contract/errors';

export type JsonValue = string | number | boolean | null | JsonValue[] | JsonObject;
export interface JsonObject {
  [key: string]: JsonValue;
}

/**
 * Milliseconds since 1970, as dates are stored.
 * @throws HoldfastError `invalid_request` for an invalid date
 */
export function toMillis(date: Date): number {
  const millis = date.getTime();
  if (Number.isNaN(millis)) throw new HoldfastError('invalid_request', 'A date is not valid.');
  return millis;
}

export function toMillisOrNull(date: Date | null): number | null {
  return date === null ? null : toMillis(date);
}

export function fromMillis(millis: number): Date {
  return new Date(millis);
}

export function fromMillisOrNull(millis: number | null): Date | null {
  return millis === null ? null : new Date(millis);
}

/**
 * A count of bytes, milliseconds or rows, as it is stored.
 * @throws HoldfastError `invalid_request` for a negative, fractional or unsafe number
 */
export function toCount(value: number, what: string): number {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new HoldfastError(
      'invalid_request',
      `The ${what} must be a whole number from 0 to 2^53 - 1; ${value} is not.`,
    );
  }
  return value;
}

/** A JSON column that holds an object. `column` names it in the error for a damaged row. */
export function parseJsonObject(text: string, column: string): JsonObject {
  const value: unknown = parseJson(text, column);
  if (!isJsonObject(value)) throw damaged(column);
  return value;
}

/** A JSON column that holds a list of strings. */
export function parseJsonStrings(text: string, column: string): string[] {
  const value: unknown = parseJson(text, column);
  if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) throw damaged(column);
  return value;
}

/** A JSON column that may hold anything. */
export function parseJson(text: string, column: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw damaged(column, error);
  }
}

/** The error for a row that this code could not have written. */
export function damaged(column: string, cause?: unknown): HoldfastError {
  return new HoldfastError(
    'internal',
    `The catalog's column ${column} holds a value that cannot be read. Restore the catalog from a backup, or correct the row.`,
    { cause },
  );
}

/** What JSON.parse returned is JSON all the way down; only the outermost form is open. */
function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
