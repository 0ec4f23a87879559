import { HoldfastError, isHoldfastError } from '@holdfast/contract/errors';

/** A constraint that a statement would have broken. `column` is `table.column` where the database tells it. */
export interface Violation {
  kind: 'unique' | 'foreign_key';
  column: string | null;
}

/** PostgreSQL's codes (Appendix A) and Node's, for failures that pass by themselves. */
const passing = new Set([
  '40001',
  '40P01',
  '53300',
  '55P03',
  '57P01',
  '57P02',
  '57P03',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENOTFOUND',
  'EPIPE',
  'ETIMEDOUT',
]);
const passingMessages = [/^Connection terminated/, /^timeout exceeded when trying to connect/];

/** Whether SQLite refused because another process is writing. */
export function isBusy(error: unknown): boolean {
  const code = textProperty(error, 'code');
  return code !== null && (code.startsWith('SQLITE_BUSY') || code === 'SQLITE_LOCKED');
}

/**
 * The constraint behind an error of better-sqlite3 or pg, or behind the HoldfastError made of one.
 * @returns null for any other error
 */
export function violationOf(error: unknown): Violation | null {
  if (isHoldfastError(error)) return violationOf(error.cause);
  switch (textProperty(error, 'code')) {
    case 'SQLITE_CONSTRAINT_UNIQUE':
    case 'SQLITE_CONSTRAINT_PRIMARYKEY': {
      const column = /^UNIQUE constraint failed: ([\w.]+)/.exec(messageOf(error))?.[1];
      return { kind: 'unique', column: column ?? null };
    }
    case '23505': {
      const table = textProperty(error, 'table') ?? '';
      const constraint = textProperty(error, 'constraint') ?? '';
      const suffix = '_unique';
      const named = constraint.startsWith(`${table}_`) && constraint.endsWith(suffix);
      return {
        kind: 'unique',
        column: named ? `${table}.${constraint.slice(table.length + 1, -suffix.length)}` : null,
      };
    }
    case 'SQLITE_CONSTRAINT_FOREIGNKEY':
    case '23503':
      return { kind: 'foreign_key', column: null };
    default:
      return null;
  }
}

/**
 * The HoldfastError for whatever a database driver threw, with the driver's own error as `cause`.
 * A broken constraint becomes `conflict`; the tables turn it into the sentence that fits.
 */
export function databaseError(error: unknown): HoldfastError {
  if (isHoldfastError(error)) return error;
  const message = messageOf(error);
  if (violationOf(error) !== null) {
    return new HoldfastError('conflict', `The catalog refused the change: ${message}.`, { cause: error });
  }
  const code = textProperty(error, 'code') ?? '';
  if (code === 'SQLITE_FULL' || code === '53100') {
    return new HoldfastError('storage_full', 'The disk that holds the catalog is full. Free space there.', {
      cause: error,
    });
  }
  if (code === '22021') {
    return new HoldfastError(
      'invalid_request',
      'A text contains a character that cannot be stored, such as NUL.',
      {
        cause: error,
      },
    );
  }
  if (isBusy(error)) {
    return new HoldfastError(
      'internal',
      'Another process kept the catalog locked for too long. End it, or try again when it is done.',
      { cause: error, retryable: true },
    );
  }
  if (
    passing.has(code) ||
    code.startsWith('08') ||
    passingMessages.some((pattern) => pattern.test(message))
  ) {
    return new HoldfastError(
      'internal',
      `The catalog's database did not answer (${message}). Check that it runs and can be reached.`,
      { cause: error, retryable: true },
    );
  }
  return new HoldfastError('internal', `The catalog's database reported an error: ${message}.`, {
    cause: error,
  });
}

function textProperty(value: unknown, key: string): string | null {
  if (typeof value !== 'object' || value === null) return null;
  const property: unknown = Reflect.get(value, key);
  return typeof property === 'string' ? property : null;
}

/** An AggregateError (every address of a host refused) has an empty message of its own. */
function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') {
    return error.errors.map((inner: unknown) => messageOf(inner)).join('; ');
  }
  return error instanceof Error ? error.message : String(error);
}
