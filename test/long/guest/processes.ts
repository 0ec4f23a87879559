import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';

export interface RunningProgram {
  pid: number;
  /** Its command line, with spaces between the arguments. */
  command: string;
}

/** All processes of this machine that have a command line. */
export async function runningPrograms(): Promise<RunningProgram[]> {
  const found: RunningProgram[] = [];
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    // It may end meanwhile.
    const line = await readFile(path.join('/proc', name, 'cmdline'), 'utf8').catch(() => '');
    if (line !== '') found.push({ pid: Number(name), command: line.replaceAll('\0', ' ').trim() });
  }
  return found;
}
