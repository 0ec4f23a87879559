import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { expect } from 'vitest';
import { endpoints } from '@holdfast/contract/endpoints';
import { runProcess } from '@holdfast/test-support/process';
import { makeTempDir } from '@holdfast/test-support/temp-dir';
import { targetOf, type TestHub } from '../../testing/test-hub.ts';

/** The request target of a machine's archive. */
export function archiveOf(hostname: string, query: Record<string, string> = {}): string {
  return targetOf(endpoints.downloadHostArchive, { hostname }, query);
}

/** A machine's archive in memory. Throws when the hub refuses, or cuts it. */
export async function fetchArchive(
  hub: TestHub,
  hostname: string,
  query: Record<string, string> = {},
): Promise<Buffer> {
  const response = await hub.request(archiveOf(hostname, query));
  if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
  return Buffer.from(await response.arrayBuffer());
}

/** What unpacks an archive in a folder, by the real programs. */
const unpackers = {
  tar: ['tar', ['--extract', '--preserve-permissions', '--file']],
  'bsdtar of a tar': ['bsdtar', ['-xpf']],
  unzip: ['unzip', ['-q', '-K']],
  'bsdtar of a zip': ['bsdtar', ['-xpf']],
} as const;

export interface Unpacked {
  /** Bytes as latin1, so that a difference is readable. */
  text: string;
  mode: number;
  /** Milliseconds. */
  mtime: number;
}

export type Unpacker = keyof typeof unpackers;

/** Unpacks in a fresh folder, and sees that nothing lands outside of it; resolves to its regular files by relative path. */
export async function unpack(how: Unpacker, archive: Buffer): Promise<Record<string, Unpacked>> {
  await using folder = await makeTempDir('unpack');
  const file = join(folder.path, 'archive');
  const target = join(folder.path, 'inside', 'deep');
  await mkdir(target, { recursive: true });
  await writeFile(file, archive);
  const [command, args] = unpackers[how];
  await runProcess(command, [...args, file], { cwd: target, env: { LC_ALL: 'C.UTF-8' } });
  const outside = (await readdir(folder.path)).concat(await readdir(join(folder.path, 'inside')));
  expect(outside.toSorted()).toEqual(['archive', 'deep', 'inside']);
  const found: Record<string, Unpacked> = {};
  for (const entry of await readdir(target, { recursive: true, withFileTypes: true })) {
    if (entry.isDirectory()) continue;
    const path = join(entry.parentPath, entry.name);
    const stats = await stat(path);
    found[relative(target, path)] = {
      text: await readFile(path, 'latin1'),
      mode: stats.mode & 0o7777,
      mtime: stats.mtimeMs,
    };
  }
  return found;
}
