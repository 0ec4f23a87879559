import type { Duplex } from 'node:stream';
import type { FastifyInstance } from 'fastify';

/** A connection that asked to become a WebSocket and is none after this long is cut, in milliseconds. */
const UPGRADE_MS = 5_000;

/**
 * Node lets go of a connection that asks for an upgrade, and the WebSocket plugin closes only those that were
 * admitted: a refused one would stay open for good, and keep the hub from closing.
 */
export function closeRefusedUpgrades(app: FastifyInstance): void {
  const waiting = new Map<Duplex, NodeJS.Timeout>();
  const forget = (socket: Duplex): void => {
    clearTimeout(waiting.get(socket));
    waiting.delete(socket);
  };
  app.server.prependListener('upgrade', (_request, socket: Duplex) => {
    waiting.set(
      socket,
      setTimeout(() => socket.destroy(), UPGRADE_MS),
    );
    socket.once('close', () => forget(socket));
  });
  app.websocketServer.on('connection', (_client, request) => forget(request.socket));
  app.addHook('onResponse', (request, _reply, done) => {
    if (waiting.has(request.raw.socket)) request.raw.socket.destroySoon();
    done();
  });
  app.addHook('preClose', (done) => {
    for (const socket of waiting.keys()) socket.destroy();
    done();
  });
}
