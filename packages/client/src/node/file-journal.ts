import { constants } from 'node:fs';
import { open, unlink } from 'node:fs/promises';
import { writeFileDurably } from '@holdfast/bytes/durable-file';
import { errnoOf } from '@holdfast/bytes/file-system-error';
import { z } from 'zod';

const offset = z.number().int().nonnegative();

/** What a later attempt needs to know of a file that is not whole yet. */
const fileJournal = z.object({
  version: z.literal(1),
  /** What is being fetched, and from where. */
  source: z.string(),
  remote: z.object({
    size: offset,
    etag: z.string().optional(),
    lastModified: z.string().optional(),
    sha256: z.string().optional(),
  }),
  /** The inode of the partial file, in decimal: a journal says nothing about another file of that name. */
  inode: z.string(),
  /** Durable bytes: in order, apart. */
  ranges: z.array(
    z.object({ start: offset, end: offset }).refine(({ start, end }) => start < end, 'a range has no bytes'),
  ),
});
export type FileJournal = z.infer<typeof fileJournal>;

/** A journal of the largest file has about a thousand ranges; whatever is larger is none. */
const MOST_BYTES = 1024 * 1024;

/** Reads a journal; undefined when there is none, or nothing that can be used. Symlinks are not followed. */
export async function readJournal(path: string): Promise<FileJournal | undefined> {
  let handle;
  try {
    handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (['ENOENT', 'ELOOP', 'ENXIO'].includes(errnoOf(error) ?? '')) return undefined;
    throw error;
  }
  await using file = handle;
  const stats = await file.stat();
  if (!stats.isFile() || stats.size > MOST_BYTES) return undefined;
  return parseJournal(await file.readFile('utf8'));
}

function parseJournal(text: string): FileJournal | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const parsed = fileJournal.safeParse(value).data;
  if (parsed === undefined) return undefined;
  let position = -1;
  for (const { start, end } of parsed.ranges) {
    if (start <= position || end > parsed.remote.size) return undefined;
    position = end;
  }
  return parsed;
}

/** Replaces the journal as a whole and durably. */
export async function writeJournal(path: string, journal: FileJournal): Promise<void> {
  await writeFileDurably(path, Buffer.from(JSON.stringify(journal)), { mode: 0o600 });
}

/** Removes a file whose absence is as good. */
export async function removeIfThere(path: string): Promise<void> {
  await unlink(path).catch((error: unknown) => {
    if (errnoOf(error) !== 'ENOENT') throw error;
  });
}
