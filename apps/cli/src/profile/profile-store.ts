import { mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { writeFileDurably } from '@holdfast/bytes/durable-file';
import { HoldfastError } from '@holdfast/contract/errors';

/** A hub and the key for it. */
const profile = z.object({ url: z.string().min(1), api_key: z.string().min(1) });
const stored = z.object({
  version: z.literal(1),
  current: z.string().nullable(),
  profiles: z.record(z.string(), profile),
});

/** All profiles of this user, and the one that is used when none is named. */
export type Profiles = z.output<typeof stored>;

/** The file that holds the profiles. */
function profilesFile(folder: string): string {
  return join(folder, 'profiles.json');
}

/**
 * Reads the profiles; none when there is no file yet.
 * @throws HoldfastError `forbidden` when others can read the file, `invalid_request` when it is damaged
 */
export async function readProfiles(folder: string): Promise<Profiles> {
  const file = profilesFile(folder);
  const text = await readPrivately(file);
  if (text === undefined) return { version: 1, current: null, profiles: {} };
  const parsed = stored.safeParse(parseJson(text));
  if (parsed.success) return parsed.data;
  throw new HoldfastError(
    'invalid_request',
    `The profiles in ${file} cannot be read: the file is damaged. Remove it and run "holdfast login" again.`,
    { cause: parsed.error },
  );
}

/** Replaces the profiles, atomically and durably; only this user can read the file. */
export async function writeProfiles(folder: string, profiles: Profiles): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const text = `${JSON.stringify(profiles, undefined, 2)}\n`;
  await writeFileDurably(profilesFile(folder), Buffer.from(text), { mode: 0o600 });
}

async function readPrivately(file: string): Promise<string | undefined> {
  try {
    await using handle = await open(file, 'r');
    const { mode } = await handle.stat();
    if ((mode & 0o077) !== 0) {
      throw new HoldfastError(
        'forbidden',
        `Others can read the keys in ${file} (mode ${(mode & 0o777).toString(8)}). Run: chmod 600 ${file}`,
      );
    }
    return await handle.readFile('utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
