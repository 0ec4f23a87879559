import type { FastifyInstance } from 'fastify';
import { endpoints } from '@holdfast/contract/endpoints';
import { HoldfastError } from '@holdfast/contract/errors';
import { eventQuery, eventScopes, type Event } from '@holdfast/contract/events';
import { hasScope, reaches, reachesBackend, type Principal } from '../access/principal.ts';
import type { HubContext } from '../context.ts';

/** A client this far behind is let go: it reconnects and reads the present state. In bytes. */
const MOST_UNSENT_BYTES = 1024 * 1024;
const PING_EVERY_MS = 30_000;

export function eventRoutes(app: FastifyInstance, { access, events, logger }: HubContext): void {
  app.route({
    method: 'GET',
    url: endpoints.subscribeEvents.path,
    config: { endpoint: endpoints.subscribeEvents },
    preValidation: async (request) => {
      eventQuery.parse(request.query);
    },
    handler: async () => {
      throw new HoldfastError('invalid_request', 'This is a WebSocket: connect with ws:// or wss://.');
    },
    wsHandler: (socket, request) => {
      const { types } = eventQuery.parse(request.query);
      const { principal } = request;
      const unsubscribe = events.subscribe((event) => {
        if (types !== undefined && !types.includes(event.type)) return;
        if (!maySee(principal, event)) return;
        if (socket.bufferedAmount > MOST_UNSENT_BYTES) {
          socket.close(1013, 'too slow');
          return;
        }
        socket.send(JSON.stringify(event));
      });
      const dismiss = (): void => socket.close(1008, 'the key is no longer valid');
      const unfollow = access.onRevoked((keyId) => {
        if (keyId === principal.keyId) dismiss();
      });
      let alive = true;
      socket.on('pong', () => {
        alive = true;
      });
      const heartbeat = setInterval(() => {
        if (!alive) {
          socket.terminate();
          return;
        }
        alive = false;
        socket.ping();
        access.isLive(principal.keyId ?? '').then(
          (isLive) => {
            if (!isLive) dismiss();
          },
          (error: unknown) => {
            logger.warn(
              { err: error, request_id: request.id },
              'the key of an event client could not be looked up',
            );
          },
        );
      }, PING_EVERY_MS).unref();
      socket.on('error', (error) =>
        logger.debug({ err: error, request_id: request.id }, 'an event client failed'),
      );
      socket.on('close', () => {
        clearInterval(heartbeat);
        unfollow();
        unsubscribe();
      });
    },
  });
}

function maySee(principal: Principal, event: Event): boolean {
  if (hasScope(principal, 'admin')) return true;
  if (event.type === 'operation.finished') return event.actor === principal.actor;
  const scope = eventScopes[event.type];
  if (scope !== null && !hasScope(principal, scope)) return false;
  if (event.type === 'file.changed' || event.type === 'file.deleted')
    return reaches(principal, event.backend_id, event.path);
  if ('transfer' in event) return reaches(principal, event.transfer.backend_id, event.transfer.path);
  if (event.type === 'backend.status') return reachesBackend(principal, event.backend_id);
  return true;
}
