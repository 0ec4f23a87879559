import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { debianPackages, findMissing, installCommand } from './debian-packages.ts';

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'holdfast-packages-'));
});

afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

test('a package is missing until a file matches its proof', () => {
  const wanted = [
    { name: 'postgresql', proof: join(root, 'lib/*/bin/postgres'), neededBy: 'test' as const },
    { name: 'cpio', proof: join(root, '{usr/,}bin/cpio'), neededBy: 'test' as const },
  ];
  expect(findMissing(wanted)).toEqual(wanted);
  mkdirSync(join(root, 'lib/15/bin'), { recursive: true });
  writeFileSync(join(root, 'lib/15/bin/postgres'), '');
  expect(findMissing(wanted).map((candidate) => candidate.name)).toEqual(['cpio']);
  mkdirSync(join(root, 'bin'));
  writeFileSync(join(root, 'bin/cpio'), '');
  expect(findMissing(wanted)).toEqual([]);
});

test('the command for a person names the packages and needs no further choice', () => {
  expect(installCommand(['nginx-light', 'strace'])).toBe(
    'sudo apt-get update && sudo apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=300 nginx-light strace',
  );
});

test('every package is listed once, with an absolute proof', () => {
  const names = debianPackages.map((candidate) => candidate.name);
  expect(new Set(names).size).toBe(names.length);
  for (const { name, proof } of debianPackages) expect(proof, name).toMatch(/^\//);
});
