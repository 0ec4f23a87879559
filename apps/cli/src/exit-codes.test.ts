import { expect, test } from 'vitest';
import { errorCatalogue, HoldfastError, isErrorCode } from '@holdfast/contract/errors';
import { exitCodeOf, exitCodeOfError, UsageError } from './exit-codes.ts';

const documented: [exit: number, statuses: number[]][] = [
  [3, [404, 410]],
  [4, [401, 403, 409, 412, 413, 422, 507]],
  [5, [460]],
  [6, [429, 503]],
  [130, [499]],
];

test('every code of the catalogue ends with its documented exit code', () => {
  const codes = Object.keys(errorCatalogue).filter((code) => isErrorCode(code));
  expect(codes.length).toBeGreaterThan(40);
  for (const code of codes) {
    const { status } = errorCatalogue[code];
    const expected =
      code === 'checksum_mismatch'
        ? 5
        : code === 'incomplete_body'
          ? 6
          : (documented.find(([, statuses]) => statuses.includes(status))?.[0] ?? 1);
    expect({ code, exit: exitCodeOfError(code) }).toEqual({ code, exit: expected });
  }
});

test('what was thrown decides: a wrong command line 2, an error of the catalogue its own, a fault 1', () => {
  expect(exitCodeOf(new UsageError('no'))).toBe(2);
  expect(exitCodeOf(new HoldfastError('file_not_found', 'gone'))).toBe(3);
  expect(exitCodeOf(new TypeError('a fault'))).toBe(1);
  expect(exitCodeOf('text')).toBe(1);
});
