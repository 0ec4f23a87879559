import { createHash } from 'node:crypto';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileDurably } from '@holdfast/bytes/durable-file';
import { z } from 'zod';
import { parsedJson } from '../problem-answer.ts';
import { journalEntry } from '../upload-journal.ts';
import type { UploadJournal } from '../upload-journal.ts';

const record = z.object({ version: z.literal(1), key: z.string(), entry: journalEntry });

/**
 * Remembers uploads under way in a folder: a file for each, readable by its owner only. What cannot be understood counts as
 * nothing, so that a damaged record costs a new beginning and no more.
 */
export function folderJournal(folder: string): UploadJournal {
  const fileOf = (key: string): string =>
    join(folder, `${createHash('sha256').update(key).digest('hex')}.json`);
  return {
    async get(key) {
      const parsed = record.safeParse(parsedJson(await textOf(fileOf(key))));
      return parsed.success && parsed.data.key === key ? parsed.data.entry : undefined;
    },
    async put(key, entry) {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      const text = `${JSON.stringify({ version: 1, key, entry } satisfies z.input<typeof record>)}\n`;
      await writeFileDurably(fileOf(key), Buffer.from(text), { mode: 0o600 });
    },
    async delete(key) {
      await rm(fileOf(key), { force: true });
    },
  };
}

async function textOf(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return '';
    throw error;
  }
}
