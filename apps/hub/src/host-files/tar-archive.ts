import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { pack, type Header, type Pack } from 'tar-stream';
import { verifiedBytes, type ArchiveEntry } from './archive-entries.ts';

/** What a file gets whose machine did not say. */
const DEFAULT_MODE = 0o644;
const REGULAR_FILE = 0o100000;
/** The header's time is a number of seconds that tar-stream keeps in 32 bits; others go into a pax record. */
const MOST_SECONDS = 0x7fffffff;

/** A tar of the entries, in the pax format (POSIX.1-2001) where ustar is too narrow. A failure of an entry is one of the whole. */
export async function* tarOf(
  entries: AsyncIterable<ArchiveEntry>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, void> {
  const tar = pack();
  const filling = fill(tar, entries, signal).catch((error: unknown) => {
    tar.destroy(error instanceof Error ? error : new Error('the archive failed', { cause: error }));
  });
  try {
    for await (const piece of tar) {
      if (!(piece instanceof Uint8Array)) throw new TypeError('a tar is made of bytes');
      yield piece;
    }
  } finally {
    tar.destroy();
    await filling;
  }
}

async function fill(tar: Pack, entries: AsyncIterable<ArchiveEntry>, signal: AbortSignal): Promise<void> {
  for await (const entry of entries) {
    await using _file = entry.content.file;
    const bytes = Readable.from(verifiedBytes(entry, signal), { objectMode: false });
    await pipeline(bytes, tar.entry(headerOf(entry)));
  }
  tar.finalize();
}

function headerOf({ name, row }: ArchiveEntry): Partial<Header> & Pick<Header, 'name'> {
  const time = (row.mtime ?? row.createdAt).getTime();
  const seconds = Math.floor(time / 1000);
  const fits = seconds * 1000 === time && seconds >= 0 && seconds <= MOST_SECONDS;
  return {
    name,
    size: row.size,
    // With the bits of a regular file: a mode of 0 alone would be taken for none.
    mode: REGULAR_FILE | (row.mode ?? DEFAULT_MODE),
    mtime: new Date(Math.min(Math.max(seconds, 0), MOST_SECONDS) * 1000),
    ...(fits ? {} : { pax: { mtime: paxTime(time) } }),
  };
}

/** Seconds with their fraction; `-1.5` is one and a half seconds before 1970. */
function paxTime(milliseconds: number): string {
  const size = Math.abs(milliseconds);
  const fraction = String(size % 1000).padStart(3, '0');
  return `${milliseconds < 0 ? '-' : ''}${Math.floor(size / 1000)}.${fraction}`;
}
