import { once } from 'node:events';
import type { Server } from 'node:http';

/** A page on loopback. Disposing stops serving it, to open connections too. */
export interface ServedPage extends AsyncDisposable {
  readonly url: string;
}

/** Lets a server that answers with a page listen at a free port of loopback. */
export async function servePage(server: Server): Promise<ServedPage> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The page has no port.');
  return {
    url: `http://127.0.0.1:${address.port}/`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
