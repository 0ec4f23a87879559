import { parseBackendPath, ROOT } from '@holdfast/bytes/backend-path';
import { createIscsiBackend } from '../../iscsi.ts';
import type { IscsiConfig, IscsiSurroundings } from '../../iscsi.ts';

/*
 * A hub in a process of its own, for tests that kill it: writes a file without an end to the LUN that it reads about on
 * standard input, and tells on standard output when the first bytes have gone. With the order `only: 'look'` it looks at
 * the LUN and has nothing more to do.
 */
let input = '';
for await (const text of process.stdin.setEncoding('utf8')) input += String(text);

/** The test that starts this writes it, with the types that it is read by. */
interface Orders {
  config: IscsiConfig;
  surroundings: IscsiSurroundings;
  volumeId: string;
  only?: 'look';
}

function isOrders(value: unknown): value is Orders {
  return (
    typeof value === 'object' &&
    value !== null &&
    'config' in value &&
    'surroundings' in value &&
    'volumeId' in value
  );
}

const orders: unknown = JSON.parse(input);
if (!isOrders(orders)) throw new Error('The orders are not complete.');
const backend = createIscsiBackend({ ...orders.config, ...orders.surroundings, volumeId: orders.volumeId });

async function* endless(): AsyncGenerator<Uint8Array> {
  const chunk = Buffer.alloc(1024 * 1024, 7);
  for (let count = 0; ; count += 1) {
    if (count === 16) process.stdout.write('writing\n');
    // So slow that the LUN never gets full.
    if (count > 16) await new Promise((resolve) => setTimeout(resolve, 100));
    yield chunk;
  }
}

if (orders.only === 'look') await backend.list(ROOT);
else await backend.write(parseBackendPath('/endless'), endless());
