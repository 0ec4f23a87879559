import { HoldfastError } from '@holdfast/contract/errors';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { fileKey, planVersions } from './version-plan.ts';
import type { SeenFile } from './version-plan.ts';

const seenFile = fc.record<SeenFile>({
  hostname: fc.constantFrom('alpha', 'beta'),
  filepath: fc.constantFrom('/a', '/b'),
  sha256: fc.constantFrom('s1', 's2'),
  size: fc.constantFrom(0, 7),
  mtime: fc.constantFrom(null, 1, 2),
  mode: fc.constantFrom(null, 0o644),
  keyId: fc.constant('key'),
  actor: fc.constant('agent'),
});
const all = (): null => null;

function file(changes: Partial<SeenFile> = {}): SeenFile {
  return {
    hostname: 'alpha',
    filepath: '/a',
    sha256: 's1',
    size: 7,
    mtime: null,
    mode: null,
    keyId: 'key',
    actor: 'agent',
    ...changes,
  };
}

test('a batch ends as its files would one after the other', () => {
  fc.assert(
    fc.property(
      fc.array(seenFile, { maxLength: 8 }),
      fc.array(seenFile, { maxLength: 8 }),
      (first, second) => {
        const afterFirst = planVersions(first, new Map(), all, 10);
        const stored = new Map(
          afterFirst.inserts
            .filter(({ is_current }) => is_current === 1)
            .map((row) => [fileKey(row.hostname, row.filepath), row]),
        );
        const before = structuredClone(stored);
        const rest = planVersions(second, stored, all, 20);
        const whole = planVersions([...first, ...second], new Map(), all, 10);
        // What is stored belongs to the caller.
        expect(stored).toEqual(before);
        const shape = (
          rows: readonly { hostname: string; filepath: string; version: number; sha256: string }[],
        ) => rows.map(({ hostname, filepath, version, sha256 }) => [hostname, filepath, version, sha256]);
        expect(shape([...afterFirst.inserts, ...rest.inserts])).toEqual(shape(whole.inserts));
        const current = whole.inserts.filter(({ is_current }) => is_current === 1);
        expect(new Set(current.map((row) => fileKey(row.hostname, row.filepath))).size).toBe(current.length);
        const touched = new Map(rest.touched.map((row) => [row.id, row]));
        const now = [...afterFirst.inserts, ...rest.inserts]
          .filter((row) => row.is_current === 1 && !rest.retired.includes(row.id))
          .map((row) => touched.get(row.id) ?? row);
        const facts = (rows: typeof now) =>
          rows
            .map((row) => [row.hostname, row.filepath, row.version, row.mtime, row.mode].join(' '))
            .toSorted();
        expect(facts(now)).toEqual(facts(current));
      },
    ),
  );
});

test('the same bytes stay the same version, and only what is told changes', () => {
  const [row] = planVersions([file({ mtime: 5, mode: 0o600 })], new Map(), all, 1).inserts;
  if (row === undefined) throw new Error('There is no row.');
  const stored = new Map([[fileKey('alpha', '/a'), row]]);
  const silent = planVersions([file()], stored, all, 2);
  expect(silent).toMatchObject({
    inserts: [],
    retired: [],
    touched: [],
    files: [{ created: false, row: { mtime: 5, mode: 0o600 } }],
  });
  expect(planVersions([file({ mtime: 6 })], stored, all, 2).touched).toEqual([{ ...row, mtime: 6 }]);
});

test('a deleted version is followed by a new one, even with the same bytes', () => {
  const [row] = planVersions([file()], new Map(), all, 1).inserts;
  if (row === undefined) throw new Error('There is no row.');
  const deleted = { ...row, deleted_at: 2, deletion_noted_at: 2 };
  const plan = planVersions([file()], new Map([[fileKey('alpha', '/a'), deleted]]), all, 3);
  expect(plan).toMatchObject({
    retired: [row.id],
    inserts: [{ version: 2, deleted_at: null, deletion_noted_at: null, created_at: 3 }],
  });
});

test('no version is older than the one before it, whatever the clock says', () => {
  const plan = planVersions([file()], new Map(), all, 100);
  const [row] = plan.inserts;
  if (row === undefined) throw new Error('There is no row.');
  const next = planVersions([file({ sha256: 's2' })], new Map([[fileKey('alpha', '/a'), row]]), all, 50);
  expect(next.inserts).toMatchObject([{ version: 2, created_at: 100 }]);
});

test('a file that is refused leaves what there was', () => {
  const refusal = new HoldfastError('quota_exceeded', 'Full.');
  const asked: string[] = [];
  const plan = planVersions(
    [file(), file({ sha256: 's2' }), file({ mtime: 9 })],
    new Map(),
    ({ sha256 }) => {
      asked.push(sha256);
      return sha256 === 's2' ? refusal : null;
    },
    1,
  );
  // The third one has the bytes of the first, which is still current.
  expect(asked).toEqual(['s1', 's2']);
  expect(plan.files).toMatchObject([{ created: true }, { refusal }, { created: false }]);
  expect(plan.inserts).toMatchObject([{ version: 1, is_current: 1, mtime: 9 }]);
});
