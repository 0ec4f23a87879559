import { open } from 'node:fs/promises';
import path from 'node:path';
import { HoldfastError } from '@holdfast/contract/errors';
import { createTftpServer } from '../server.ts';

/**
 * A server in a process of its own, so that its memory can be measured: serves the files of a folder and prints its
 * port. Arguments: the folder, the timeout in milliseconds.
 */
const [folder = '', timeoutMs = '1000'] = process.argv.slice(2);

const server = await createTftpServer({
  host: '127.0.0.1',
  port: 0,
  limits: { maxSessionsPerClient: 4096, timeoutMs: Number(timeoutMs) },
  async open(request) {
    const handle = await open(path.join(folder, path.basename(request.path))).catch((error: unknown) => {
      throw new HoldfastError('file_not_found', `There is no file ${request.path}.`, { cause: error });
    });
    const { size } = await handle.stat();
    return {
      size,
      readInto: async (buffer, position) => (await handle.read(buffer, 0, buffer.length, position)).bytesRead,
      close: () => handle.close(),
    };
  },
});
process.stdout.write(`port ${server.address.port}\n`);
