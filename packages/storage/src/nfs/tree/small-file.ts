import { HoldfastError } from '@holdfast/contract/errors';
import type { NfsFile, NfsFileSystem } from '../file-system.ts';

/** Reads from an offset until the length is full or the file ends. */
export async function readFully(file: NfsFile, offset: number, length: number): Promise<Buffer> {
  const first = await file.read(offset, Math.min(length, file.maxReadBytes));
  if (first.byteLength === length) return first;
  const parts = [first];
  for (let done = first.byteLength; done < length;) {
    const part = await file.read(offset + done, Math.min(length - done, file.maxReadBytes));
    if (part.byteLength === 0) break;
    parts.push(part);
    done += part.byteLength;
  }
  return Buffer.concat(parts);
}

/** All bytes of a file that is known to be small. @throws HoldfastError `too_large`; NfsFailure */
export async function readSmallFile(fs: NfsFileSystem, handle: Buffer, maxBytes: number): Promise<Buffer> {
  await using file = await fs.open(handle);
  const bytes = await readFully(file, 0, maxBytes + 1);
  if (bytes.byteLength <= maxBytes) return bytes;
  throw new HoldfastError('too_large', `A file of at most ${maxBytes} bytes was expected, and it is larger.`);
}
