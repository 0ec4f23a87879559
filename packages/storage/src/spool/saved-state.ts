import { writeFileDurably } from '@holdfast/bytes/durable-file';
import type { JsonObject } from '@holdfast/contract/json';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Spool } from './spool.ts';

const name = 'state.json';
const savedState = z.record(z.string(), z.json());

/** Makes the place of an upload in the spool, with the state that the caller keeps too. What was there before goes. */
export async function makePlace(spool: Spool, id: string, state: JsonObject): Promise<void> {
  await spool.removeUpload(id);
  await spool.addUpload(id);
  await writeFileDurably(join(spool.folderOf(id), name), Buffer.from(JSON.stringify(state)), { mode: 0o600 });
}

/** The state of an upload in the spool; undefined when it was cut off while it began. */
export async function readState(spool: Spool, id: string): Promise<JsonObject | undefined> {
  try {
    const value: unknown = JSON.parse(await readFile(join(spool.folderOf(id), name), 'utf8'));
    return savedState.parse(value);
  } catch {
    // Without it an upload can still be discarded, which is all that is left to do.
    return undefined;
  }
}
