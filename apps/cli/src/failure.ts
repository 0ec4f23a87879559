import { errorCatalogue, HoldfastError, isHoldfastError } from '@holdfast/contract/errors';
import { UsageError } from './exit-codes.ts';
import type { Terminal } from './terminal.ts';

/** How failures are told. */
export interface FailureStyle {
  isJson: boolean;
  isVerbose: boolean;
  terminal: Terminal;
}

/** Tells a failure on standard error: a sentence, or with --json a problem document (RFC 9457). */
export function tellFailure(error: unknown, { isJson, isVerbose, terminal }: FailureStyle): void {
  const { stderr, paintError } = terminal;
  if (isJson) {
    stderr.write(`${JSON.stringify(problemOf(error))}\n`);
    return;
  }
  stderr.write(`${paintError('red', 'error:')} ${sentenceOf(error)}\n`);
  if (isHoldfastError(error)) {
    for (const { field, message } of error.errors ?? []) stderr.write(`  ${field}: ${message}\n`);
  }
  if (isVerbose) for (const cause of causes(error)) stderr.write(`${cause}\n`);
}

function sentenceOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function problemOf(error: unknown): object {
  const known = isHoldfastError(error)
    ? error
    : new HoldfastError(error instanceof UsageError ? 'invalid_request' : 'internal', sentenceOf(error));
  return {
    type: `/docs#error-${known.code}`,
    title: errorCatalogue[known.code].title,
    status: known.status,
    detail: known.message,
    code: known.code,
    ...(known.errors === undefined ? {} : { errors: known.errors }),
  };
}

function* causes(error: unknown): Generator<string> {
  for (let next = error; next instanceof Error; next = next.cause) yield next.stack ?? next.message;
}
