import { FileStore } from '@tus/file-store';
import { Server } from '@tus/server';

/** @tus/server with its file store, in a process of its own. Prints its URL when it takes connections. */
const [directory] = process.argv.slice(2);
if (directory === undefined) throw new Error('usage: tus-server.ts <folder>');
const server = new Server({
  path: '/files',
  datastore: new FileStore({ directory }),
  relativeLocation: true,
});
const listening = server.listen({ host: '127.0.0.1', port: 0 }, () => {
  const address = listening.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  process.stdout.write(`http://127.0.0.1:${address.port}\n`);
});
