import { homedir, tmpdir } from 'node:os';
import { basename, dirname, join, relative } from 'node:path';
import { getRawAsset } from 'node:sea';
import { pathToFileURL } from 'node:url';
import { makePrivateFolder, unpack } from './unpacking.ts';
import type { Contents } from './unpacking.ts';

/** Put in when the executable is made. */
declare const carriedContents: Contents;

/**
 * What the single executable runs first. Native code and the files of threads have to be files: they are unpacked once,
 * into a folder that only this user may enter, and their digests are compared at every start.
 */
async function start(contents: Contents): Promise<void> {
  const [first, path = '', ...others] = process.argv.slice(2);
  const own = first === '--no-warnings' ? ownProgram(contents, path) : undefined;
  const folder = own?.folder ?? join(cacheFolder(), contents.id);
  unpack(folder, contents, (name) => new Uint8Array(getRawAsset(name)));
  const program = join(folder, own?.program ?? contents.main);
  if (own === undefined) process.argv.splice(1, 1, program);
  else {
    // The hub starts programs of its own by the path of what runs it, which is Node elsewhere.
    process.argv.splice(1, process.argv.length, program, ...others);
    process.removeAllListeners('warning');
  }
  await import(pathToFileURL(program).href);
}

/** A program of this executable in a folder that it was unpacked into; undefined when `path` is something else. */
function ownProgram(
  { id, main, files }: Contents,
  path: string,
): { folder: string; program: string } | undefined {
  let folder = path;
  for (let depth = main.split('/').length; depth > 0; depth -= 1) folder = dirname(folder);
  const program = relative(folder, path);
  const isKnown = basename(folder) === id && files.some((file) => file.path === program);
  return isKnown ? { folder, program } : undefined;
}

/** Where it unpacks: the user's cache; where that cannot be written, a folder of their own in the temporary one. */
function cacheFolder(): string {
  const { HOLDFAST_CACHE_DIR: chosen = '', XDG_CACHE_HOME: cache = '' } = process.env;
  const wanted =
    chosen !== '' ? chosen : join(cache.startsWith('/') ? cache : join(homedir(), '.cache'), 'holdfast');
  try {
    makePrivateFolder(wanted);
    return wanted;
  } catch (error) {
    if (chosen !== '' || !cannotBeMade(error)) throw error;
  }
  const instead = join(tmpdir(), `holdfast-${process.geteuid?.() ?? 0}`);
  makePrivateFolder(instead);
  return instead;
}

function cannotBeMade(error: unknown): boolean {
  const codes = ['EACCES', 'EPERM', 'EROFS', 'ENOENT', 'ENOTDIR'];
  return error instanceof Error && 'code' in error && codes.includes(String(error.code));
}

start(carriedContents).catch((error: unknown) => {
  process.stderr.write(`holdfast: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
