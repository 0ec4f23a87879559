import type { CallOptions, Connection } from './connection.ts';
import { headObject } from './objects.ts';

/** Metadata: which write made an object, to tell after a lost answer. */
export const WRITE_ID = 'holdfast-write';
/** Metadata: the SHA-256 of the object's bytes, lower-case hex. */
export const SHA256 = 'holdfast-sha256';

/** Whether the object behind a key came of the write with this id. */
export async function isFromWrite(
  connection: Connection,
  key: string,
  writeId: string,
  options: CallOptions,
): Promise<true | undefined> {
  const object = await headObject(connection, key, options);
  return object?.metadata[WRITE_ID] === writeId ? true : undefined;
}
