import { HoldfastError } from '@holdfast/contract/errors';
import { once } from 'node:events';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import type { Server } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** The socket by which a holder shows that it is alive, in the folder of its stack. */
const claimSocket = 'holder.sock';
const busy = 'busy';
/** A holder sees within this time that its hub is gone, also on a slow machine. */
const noticeMs = 3000;
const askAgainMs = 200;

/**
 * Waits until no other holder works in a folder. One whose hub has died is on its way down: its end is waited for. The
 * end of a process closes its sockets, however it ends.
 * @throws HoldfastError `conflict` when a living hub has it, `backend_unavailable` when a dying one takes too long
 */
export async function awaitClaim(folder: string, timeoutMs: number): Promise<void> {
  // By way of a descriptor: the path of a socket has room for 107 bytes only (unix(7)).
  await using handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  const path = `/proc/self/fd/${handle.fd}/${claimSocket}`;
  const askedAt = performance.now();
  for (;;) {
    const left = timeoutMs - (performance.now() - askedAt);
    if ((await heardFrom(path, left)) !== busy) return;
    // A holder may not have noticed yet that its hub was killed a moment ago.
    if (performance.now() - askedAt >= Math.min(noticeMs, timeoutMs))
      throw new HoldfastError('conflict', 'Another process of this hub uses the LUN. Stop it first.');
    await sleep(askAgainMs);
  }
}

/** What a holder says before it hangs up or ends; nothing when there is none. */
async function heardFrom(path: string, timeoutMs: number): Promise<string> {
  const socket = connect(path);
  const timer = setTimeout(() => socket.destroy(new Error('timeout')), timeoutMs);
  let said = '';
  socket.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  try {
    await once(socket, 'close');
    return said;
  } catch (error) {
    if (!(error instanceof Error && error.message === 'timeout')) return '';
    const text =
      'An earlier process still holds the LUN and does not end. Look for processes of the old hub on this machine.';
    throw new HoldfastError('backend_unavailable', text);
  } finally {
    clearTimeout(timer);
  }
}

/** Shows that this process holds the folder. To be called with the folder as working directory. */
export async function showClaim(isBusy: () => boolean): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    // Who waits for the end of this process is told by the end of the connection.
    if (isBusy()) socket.end(busy);
  });
  server.listen(claimSocket);
  await once(server, 'listening');
  return server;
}

export const CLAIM_SOCKET = claimSocket;
