import { HoldfastError } from '@holdfast/contract/errors';

/** What `slice` may give: the bytes, or what they are read from. */
export type SourceSlice = Uint8Array<ArrayBuffer> | Blob | AsyncIterable<Uint8Array>;

/** A file that is to be sent. Sizes and positions in bytes. */
export interface UploadSource {
  readonly size: number;
  /** How people know it. */
  readonly name: string;
  /** The same text for the same, unchanged file: a journal knows the file again by it. */
  readonly identity: string;
  /** The bytes from `start` up to `end`, which does not count. */
  slice(start: number, end: number): SourceSlice | Promise<SourceSlice>;
  /** False when the file is no longer what it was in the beginning. Left out: it cannot change, as a Blob. */
  isUnchanged?(): Promise<boolean>;
  /** The SHA-256 of a slice in lower-case hex, computed off the main thread. Left out: the slice is read and hashed here. */
  sha256Of?(start: number, end: number, signal: AbortSignal): Promise<string>;
}

/** A Blob as a source; of a File, its name and time tell which one it is. */
export function blobSource(blob: Blob, name?: string): UploadSource {
  const file = blob instanceof File ? blob : undefined;
  const known = name ?? file?.name ?? 'blob';
  return {
    size: blob.size,
    name: known,
    identity: JSON.stringify([known, blob.size, file?.lastModified ?? null]),
    slice: (start, end) => blob.slice(start, end),
  };
}

/**
 * The bytes of one chunk, whole in memory.
 * @throws HoldfastError `conflict` when the file is shorter than it was or cannot be read any more
 */
export async function readSlice(
  source: UploadSource,
  start: number,
  end: number,
): Promise<Uint8Array<ArrayBuffer>> {
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    const slice = await source.slice(start, end);
    if (slice instanceof Uint8Array) bytes = slice;
    else if (slice instanceof Blob) bytes = new Uint8Array(await slice.arrayBuffer());
    else bytes = await gathered(slice, end - start);
  } catch (error) {
    if (error instanceof HoldfastError) throw error;
    throw changed(source, error);
  }
  if (bytes.byteLength !== end - start) throw changed(source);
  return bytes;
}

/** What is thrown for a file that changed while it was sent. */
export function changed(source: Pick<UploadSource, 'name'>, cause?: unknown): HoldfastError {
  return new HoldfastError(
    'conflict',
    `${source.name} was changed or removed while it was sent. Nothing was stored; send it again when it is at rest.`,
    { cause },
  );
}

async function gathered(pieces: AsyncIterable<Uint8Array>, length: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length);
  let at = 0;
  for await (const piece of pieces) {
    if (at + piece.byteLength > length) throw new RangeError('the slice has more bytes than were asked for');
    bytes.set(piece, at);
    at += piece.byteLength;
  }
  return bytes.subarray(0, at);
}
