import { afterEach, expect, test, vi } from 'vitest';
import { noteForeignBytes } from './foreign-memory.ts';

const MIB = 1024 * 1024;

afterEach(() => {
  vi.unstubAllGlobals();
});

test('dead buffers are looked for every 8 MiB, among the young objects only', () => {
  const gc = vi.fn<(options: object) => void>();
  vi.stubGlobal('gc', gc);
  for (let come = 0; come < 32 * MIB; come += 64 * 1024) noteForeignBytes(64 * 1024);
  expect(gc.mock.calls).toEqual(Array.from({ length: 4 }, () => [{ type: 'minor' }]));
});

test('nothing happens where V8 does not let itself be asked', () => {
  vi.stubGlobal('gc', undefined);
  expect(() => noteForeignBytes(64 * MIB)).not.toThrow();
});
