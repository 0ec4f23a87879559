import type { Duplex } from 'node:stream';
import { createInterface } from 'node:readline';
import type { z } from 'zod';

/** Sends one message as a line of JSON. */
export function sendLine(stream: Duplex, message: object): void {
  // A peer that is gone shows by the end of its own lines.
  if (stream.writable) stream.write(`${JSON.stringify(message)}\n`);
}

/** The messages of the other side until it closes. @throws when a line does not fit the schema */
export async function* linesOf<Schema extends z.ZodType>(
  stream: Duplex,
  schema: Schema,
): AsyncGenerator<z.output<Schema>> {
  for await (const line of createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY })) {
    yield schema.parse(JSON.parse(line));
  }
}
