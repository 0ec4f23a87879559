import { parseBackendPath, ROOT } from '@holdfast/bytes/backend-path';
import { newTempName } from '@holdfast/bytes/temp-name';
import { HoldfastError } from '@holdfast/contract/errors';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { StorageEntry } from '../backend.ts';
import { openedRange } from './opened-range.ts';
import { requirePublishable, requireWritable } from './publishing.ts';
import { asTaken, refuseIntoItself, requireDestination } from './relocating.ts';
import { refuseRoot, refuseTempNames } from './refusals.ts';

const path = parseBackendPath('/isos/a.iso');
const entry: StorageEntry = {
  name: 'a.iso',
  path,
  type: 'file',
  size: 10,
  modifiedAt: new Date(0),
  validator: 'v',
};

function codeOf(check: () => unknown): string {
  try {
    check();
    return 'fine';
  } catch (error) {
    if (error instanceof HoldfastError) return error.code;
    throw error;
  }
}

describe('a write', () => {
  it.each([
    [null, false, 'fine'],
    [null, true, 'fine'],
    ['file', false, 'fine'],
    ['file', true, 'precondition_failed'],
    ['directory', false, 'is_a_directory'],
    ['directory', true, 'is_a_directory'],
  ] as const)('that meets %j, under ifAbsent %j: %s', (existing, ifAbsent, outcome) => {
    expect(codeOf(() => requireWritable(path, existing, ifAbsent))).toBe(outcome);
  });

  it('is decided by its precondition last, which sees what would be replaced', async () => {
    const seen: (StorageEntry | null)[] = [];
    const precondition = (existing: StorageEntry | null): void => void seen.push(existing);
    await requirePublishable(path, entry, { precondition });
    await requirePublishable(path, null, { precondition, ifAbsent: true });
    await expect(requirePublishable(path, entry, { precondition, ifAbsent: true })).rejects.toMatchObject({
      code: 'precondition_failed',
    });
    expect(seen).toEqual([entry, null]);
    const refused = new HoldfastError('precondition_failed', 'Another version.');
    const refusing = { precondition: () => Promise.reject(refused) };
    await expect(requirePublishable(path, entry, refusing)).rejects.toBe(refused);
  });

  it('is not published any more when it was cancelled while its precondition was asked', async () => {
    const controller = new AbortController();
    const precondition = (): void => controller.abort();
    const publishing = requirePublishable(path, null, { precondition, signal: controller.signal });
    await expect(publishing).rejects.toMatchObject({ code: 'cancelled' });
  });
});

describe('a move', () => {
  const folder = { path: parseBackendPath('/a'), type: 'directory' } as const;
  const file = { path: parseBackendPath('/a'), type: 'file' } as const;

  it.each([
    [file, null, false, 'fine'],
    [file, 'file', false, 'already_exists'],
    [file, 'file', true, 'fine'],
    [file, 'directory', true, 'is_a_directory'],
    [folder, 'file', true, 'not_a_directory'],
    [folder, 'directory', true, 'fine'],
    [folder, 'directory', false, 'already_exists'],
  ] as const)('of %j onto %j, overwriting %j: %s', (source, existing, overwrite, outcome) => {
    expect(codeOf(() => requireDestination(source, path, existing, overwrite))).toBe(outcome);
  });

  it.each([
    ['/a/b', 'invalid_path'],
    ['/a', 'fine'],
    ['/ab', 'fine'],
  ])('of the folder /a to %s: %s', (to, outcome) => {
    expect(codeOf(() => refuseIntoItself(folder, parseBackendPath(to)))).toBe(outcome);
    expect(codeOf(() => refuseIntoItself(file, parseBackendPath(to)))).toBe('fine');
  });

  it('tells a destination that was taken in the last moment for what it is', () => {
    const refused = new HoldfastError('precondition_failed', 'It exists.');
    expect(asTaken(refused, path)).toMatchObject({ code: 'already_exists', cause: refused });
    const other = new Error('reset');
    expect(asTaken(other, path)).toBe(other);
  });
});

describe('a path', () => {
  it('that is the root, or has one of our temporary names in it, is refused', () => {
    expect(codeOf(() => refuseRoot(ROOT, 'moved'))).toBe('invalid_path');
    expect(codeOf(() => refuseRoot(path, 'moved'))).toBe('fine');
    const temporary = parseBackendPath(`/a/${newTempName()}/b`);
    expect(codeOf(() => refuseTempNames(temporary))).toBe('invalid_path');
    expect(codeOf(() => refuseTempNames(parseBackendPath('/.holdfast-notes')))).toBe('fine');
  });
});

describe('a range of an open file', () => {
  it('is the whole file, or what lies inside of it', () => {
    expect(openedRange(entry, undefined)).toEqual({ start: 0, end: 10 });
    fc.assert(
      fc.property(fc.integer({ min: -2, max: 12 }), fc.integer({ min: -2, max: 12 }), (start, end) => {
        const isInside = start >= 0 && start <= end && end <= 10;
        expect(codeOf(() => openedRange(entry, { start, end }))).toBe(
          isInside ? 'fine' : 'range_not_satisfiable',
        );
      }),
    );
    expect(codeOf(() => openedRange(entry, { start: 0.5, end: 2 }))).toBe('range_not_satisfiable');
    expect(codeOf(() => openedRange(entry, { start: 0, end: Number.NaN }))).toBe('range_not_satisfiable');
  });
});
