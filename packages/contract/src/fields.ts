import { z } from 'zod';

/** An instant in an answer: ISO 8601, UTC, e.g. `2026-03-01T12:00:00.000Z`. */
export const time = z.iso.datetime().meta({ examples: ['2026-03-01T12:00:00.000Z'] });

/** An instant in a request: ISO 8601 with any offset; comes out in UTC. */
export const timeInput = z.iso
  .datetime({ offset: true, error: 'must be an ISO 8601 time such as 2026-03-01T12:00:00Z' })
  .transform((text) => new Date(text).toISOString())
  .pipe(z.iso.datetime());

/** An identifier that the hub made. Any text is accepted, so that an unknown one is 404 and not 422. */
export const id = z.string().min(1).max(200);

/** The parameters of a path with `{id}`. */
export const idParams = z.object({ id: id.describe('The identifier.') });

/** What a DELETE answers. */
export const deletedId = z.object({ id });

/** A number of bytes. */
export const byteCount = z.int().min(0);

/** A number of things. */
export const count = z.int().min(0);

/** A SHA-256 in lower-case hexadecimal. */
export const sha256 = z
  .string()
  .regex(/^[0-9a-f]{64}$/)
  .meta({ examples: ['e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'] });

const controlCharacter = /\p{Cc}/u;

/** A name that a person gives: 1–100 characters without control characters; surrounding blanks are dropped. */
export const displayName = z
  .string()
  .trim()
  .min(1, 'must not be empty')
  .max(100, 'must be at most 100 characters')
  .refine((text) => !controlCharacter.test(text) && text.isWellFormed(), 'must not hold control characters');

/**
 * A path on a backend as it arrives, at most 4096 characters. The backend's own path rules are applied
 * where the path is used and answer with `invalid_path`.
 */
export const pathText = z.string().min(1, 'must not be empty').max(4096, 'must be at most 4096 characters');

/** A yes or no in a query string: `true`, `false`, `1` or `0`. */
export const queryBoolean = z
  .union([z.boolean(), z.enum(['true', 'false', '1', '0'])], { error: 'must be true, false, 1 or 0' })
  .transform((value) => value === true || value === 'true' || value === '1');

/** An integer in a query string, within bounds (inclusive). */
export function queryInteger(minimum: number, maximum: number) {
  return z.coerce
    .number<number | string>({ error: 'must be a whole number' })
    .int('must be a whole number')
    .min(minimum, `must be at least ${minimum}`)
    .max(maximum, `must be at most ${maximum}`);
}
