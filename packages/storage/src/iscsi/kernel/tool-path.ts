import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { toolEnvironment } from '../stack/tool.ts';
import type { ToolName } from '../stack/tool.ts';

async function isThere(path: string, mode: number): Promise<boolean> {
  return access(path, mode).then(
    () => true,
    () => false,
  );
}

/** Whether a program can be run. */
export async function hasTool(tool: ToolName): Promise<boolean> {
  for (const folder of (toolEnvironment()['PATH'] ?? '').split(':')) {
    if (folder !== '' && (await isThere(join(folder, tool), constants.X_OK))) return true;
  }
  return false;
}

export async function hasFile(path: string): Promise<boolean> {
  return isThere(path, constants.F_OK);
}
