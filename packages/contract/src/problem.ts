import { z } from 'zod';
import { errorCatalogue, isErrorCode, isHoldfastError } from './errors.ts';
import type { ErrorCode, FieldProblem } from './errors.ts';

/** The media type of every error answer (RFC 9457 §3). */
export const problemMediaType = 'application/problem+json';

/** A code of the error catalogue. */
export const errorCode = z.string().refine(isErrorCode, 'is not a code of the error catalogue');

/** An error answer (RFC 9457 §3.1) with Holdfast's `code`, `errors` and `request_id`. */
export const problem = z
  .object({
    type: z.string().describe('A reference to the explanation of the code.'),
    title: z.string().describe('The short title of the code.'),
    status: z.int().min(400).max(599),
    detail: z.string().describe('What happened and what to do, as a sentence.'),
    code: errorCode.describe('A stable code of the error catalogue.'),
    errors: z
      .array(z.object({ field: z.string(), message: z.string() }))
      .optional()
      .describe('The fields of the request that were refused.'),
    request_id: z.string().optional().describe('The same as the `X-Request-Id` header.'),
  })
  .meta({ id: 'Problem' });
export type Problem = z.output<typeof problem>;

/** Where a code is explained; relative to the hub, as RFC 9457 §3.1.1 allows. */
export function problemType(code: ErrorCode): string {
  return `/docs#error-${code}`;
}

/**
 * The error answer for anything that was thrown: a HoldfastError with its own sentence, a ZodError as
 * `validation_failed` with one entry a field, everything else as `internal` without its text, which may
 * hold what the caller must not see.
 */
export function toProblem(error: unknown, requestId?: string): Problem {
  if (isHoldfastError(error)) return build(error.code, error.message, error.errors, requestId);
  if (error instanceof z.ZodError) {
    const errors = fieldProblems(error);
    return build('validation_failed', sentence(errors), errors, requestId);
  }
  const reference = requestId === undefined ? '' : ` Look for request ${requestId} in the log of the hub.`;
  return build(
    'internal',
    `The hub failed to answer; this is a fault in it.${reference}`,
    undefined,
    requestId,
  );
}

/** The refused fields of a ZodError, by their dotted names (`config.root`, `paths.3`); `body` for the whole. */
export function fieldProblems(error: z.ZodError): FieldProblem[] {
  return error.issues.flatMap((issue) => {
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => ({
        field: fieldName([...issue.path, key]),
        message: 'is not a known field',
      }));
    }
    return [{ field: fieldName(issue.path), message: messageOf(issue) }];
  });
}

function build(
  code: ErrorCode,
  detail: string,
  errors: FieldProblem[] | undefined,
  requestId?: string,
): Problem {
  const { status, title } = errorCatalogue[code];
  return {
    type: problemType(code),
    title,
    status,
    detail,
    code,
    ...(errors === undefined || errors.length === 0 ? {} : { errors }),
    ...(requestId === undefined ? {} : { request_id: requestId }),
  };
}

function fieldName(path: readonly PropertyKey[]): string {
  return path.length === 0 ? 'body' : path.map(String).join('.');
}

function messageOf(issue: z.core.$ZodIssue): string {
  // zod tells a missing value only in the text of the message.
  if (issue.code === 'invalid_type' && issue.message.endsWith('received undefined')) return 'is required';
  return issue.message;
}

function sentence(errors: readonly FieldProblem[]): string {
  const named = errors.slice(0, 5).map(({ field, message }) => `\`${field}\` ${message.replace(/\.$/, '')}`);
  const rest = errors.length > 5 ? ` (and ${errors.length - 5} more)` : '';
  return `The request was refused: ${named.join('; ')}${rest}.`;
}
