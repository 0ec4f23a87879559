import { errnoOf } from '@holdfast/bytes/file-system-error';
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runTool } from './tool.ts';

const blockFolder = '/sys/block';

/**
 * The name of the file behind a stack's loop device, of the folder of the stack. Once the namespace of a stack is gone,
 * the last part of its path is all that the kernel tells.
 */
export function loopFileName(folder: string): string {
  return `lun-${createHash('sha256').update(folder).digest('hex').slice(0, 16)}`;
}

/** The loop devices of a stack. */
export async function loopsOf(folder: string): Promise<string[]> {
  const found: string[] = [];
  for (const name of await readdir(blockFolder)) {
    if (!name.startsWith('loop')) continue;
    const backing = await readFile(join(blockFolder, name, 'loop/backing_file'), 'utf8').catch(
      (error: unknown) => {
        // The attribute is there only while the device is attached.
        if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENXIO') return '';
        throw error;
      },
    );
    if (backing.includes(`/${loopFileName(folder)}`)) found.push(`/dev/${name}`);
  }
  return found;
}

/** Detaches what an earlier stack of this folder has left, when it was killed between two steps. */
export async function detachStaleLoops(folder: string): Promise<void> {
  for (const device of await loopsOf(folder)) await runTool('losetup', ['-d', device]);
}
