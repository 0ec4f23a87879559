import type { CliOutput } from '@holdfast/contract/cli-output';

export type CheckStatus = CliOutput<'doctor'>['status'];

/** What a check has found, and what to do about it. */
export type Check = CliOutput<'doctor'>['checks'][number];

/** A check that found nothing to mend. */
export function ok(name: string, message: string): Check {
  return { name, status: 'ok', message, fix: null };
}

/** Something that works, and should be looked at. */
export function warn(name: string, message: string, fix: string): Check {
  return { name, status: 'warn', message, fix };
}

/** Something that does not work. */
export function fail(name: string, message: string, fix: string): Check {
  return { name, status: 'fail', message, fix };
}

/** The worst of all checks. */
export function worst(checks: readonly Check[]): CheckStatus {
  if (checks.some(({ status }) => status === 'fail')) return 'fail';
  return checks.some(({ status }) => status === 'warn') ? 'warn' : 'ok';
}

/** A failure as a sentence. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
