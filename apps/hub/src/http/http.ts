import { readFileSync, watchFile, unwatchFile } from 'node:fs';
import {
  createServer as createPlainServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Socket } from 'node:net';
import { Server as TlsServer } from 'node:tls';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import type { Access as EndpointAccess } from '@holdfast/contract/endpoint';
import { errorCatalogue, HoldfastError, isErrorCode, isHoldfastError } from '@holdfast/contract/errors';
import { toProblem } from '@holdfast/contract/problem';
import { anonymous, type Access } from '../access/access.ts';

import type { Metrics } from '../metrics.ts';
import { requestIdOf } from '../request-id.ts';
import type { BodyTurns } from './body-turns.ts';
import { deferContinue, takesTurns } from './body.ts';
import { methodsOf } from './methods.ts';

export interface HttpOptions {
  access: Access;
  logger: Logger;
  tls: { certFile: string; keyFile: string } | null;
  /** Asked before anything is routed; true when it has answered. */
  answerFirst: (request: IncomingMessage, response: ServerResponse) => boolean;
  /** In which order large bodies are read. */
  bodyTurns: BodyTurns;
  /** Whether the hub is shutting down: new requests are then refused. */
  isDraining: () => boolean;
}

/** How long a refused upload may go on sending before its connection is cut, in milliseconds. */
const LINGER_MS = 5_000;
/** An idle connection is kept this long for the next request, in milliseconds. */
const KEEP_ALIVE_MS = 72_000;

/**
 * The HTTP server without its routes: request ids, admission, errors as problem+json, metrics.
 * Every route needs an endpoint of the contract; one without is refused when it is registered (default-deny).
 */
export function createHttpServer(options: HttpOptions): FastifyInstance {
  const { access, logger } = options;
  const app = Fastify({
    logger: false, // the hub logs by itself: a logger a request would cost more than answering a small file
    serverFactory: (handler) =>
      createServer(options.tls, (request, response) => {
        if (options.isDraining() || !options.answerFirst(request, response)) handler(request, response);
      }),
    bodyLimit: Number.MAX_SAFE_INTEGER, // bodies are read as streams; small ones are limited where they are parsed
    rewriteUrl: singleSlashes,
    frameworkErrors: (error, request, reply) => {
      sendProblem(error, request, reply, logger);
    },
    clientErrorHandler: answerGarbledRequest,
    genReqId: (request) => requestIdOf(request.headers),
    requestIdHeader: false,
    routerOptions: { maxParamLength: 16_384 },
  });
  if (options.tls !== null) reloadTls(app, options.tls, logger);

  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, _payload, done) => done(null));
  app.server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    deferContinue(request, response);
    app.server.emit('request', request, response);
  });

  app.decorateRequest('principal');
  app.decorateRequest('arrivedAt', 0);
  app.addHook('onRoute', (route) => {
    if (route.config?.endpoint === undefined) {
      throw new Error(`the route ${String(route.method)} ${route.url} has no endpoint of the contract`);
    }
  });
  app.addHook('onRequest', (request, reply, done) => {
    request.arrivedAt = performance.now();
    request.principal = anonymous;
    void reply.header('x-request-id', request.id);
    const endpoint = request.routeOptions.config.endpoint;
    for (const [name, value] of Object.entries(endpoint?.answerHeaders ?? {}))
      reply.raw.setHeader(name, value);
    if (options.isDraining() && endpoint?.path !== '/healthz' && endpoint?.path !== '/readyz') {
      reply.raw.setHeader('Connection', 'close');
      reply.raw.setHeader('Retry-After', '5');
      done(new HoldfastError('shutting_down', 'The hub is shutting down; try again in a few seconds.'));
      return;
    }
    if (endpoint === undefined) {
      done(); // no such route: the not-found handler answers
      return;
    }
    if (!takesTurns(request.raw)) {
      admitRequest(access, endpoint.access, request, done);
      return;
    }
    // Before anything is looked up for it: a request that waits for its turn is to cost no more than its head.
    reply.raw.once('close', () => options.bodyTurns.end(request.raw));
    options.bodyTurns.begin(request.raw).then(() => {
      admitRequest(access, endpoint.access, request, done);
    }, done);
  });
  app.setErrorHandler((error, request, reply) => sendProblem(error, request, reply, logger));
  app.setNotFoundHandler((request, reply) => sendProblem(notFound(request), request, reply, logger));
  return app;
}

/** Finds out who makes a request, and whether they may. */
function admitRequest(
  access: Access,
  needed: EndpointAccess,
  request: FastifyRequest,
  done: (error?: Error) => void,
): void {
  const { authorization } = request.headers;
  const address = request.socket.remoteAddress ?? '';
  const known = access.admitAnonymous(needed, authorization, address);
  if (known !== null) {
    request.principal = known;
    done();
    return;
  }
  access.admit(needed, authorization, address).then(
    (principal) => {
      request.principal = principal;
      done();
    },
    (error: unknown) => done(error instanceof Error ? error : new Error(String(error))),
  );
}

/** Counts and times the requests of a scope; the hot path of boot files counts its own. */
export function measureRequests(scope: FastifyInstance, metrics: Metrics): void {
  scope.addHook('onResponse', (request, reply, done) => {
    const route = request.routeOptions.config.endpoint?.path ?? 'unknown';
    metrics.countRequest(request.method, route, reply.raw.statusCode);
    metrics.requestSeconds.observe({ route }, (performance.now() - request.arrivedAt) / 1000);
    done();
  });
}

/** Answers an error as problem+json; on a half-sent answer the connection is cut instead. */
function sendProblem(error: unknown, request: FastifyRequest, reply: FastifyReply, logger: Logger): void {
  const problem = toProblem(normalise(error), request.id);
  const details = {
    request_id: request.id,
    method: request.method,
    path: request.url.split('?')[0],
    code: problem.code,
  };
  if (problem.status >= 500 && problem.status !== 503 && problem.status !== 507)
    logger.error({ ...details, err: error }, problem.detail);
  else logger.debug(details, problem.detail);
  const raw = reply.raw;
  if (raw.headersSent || reply.sent) {
    raw.destroy();
    return;
  }
  lingerThenClose(request.raw, raw);
  const body = JSON.stringify(problem);
  const headers: Record<string, string> = {
    'X-Request-Id': request.id,
    'Content-Type': 'application/problem+json; charset=utf-8',
    'Content-Length': String(Buffer.byteLength(body)),
    'Cache-Control': 'no-store',
  };
  if (problem.status === 401) headers['WWW-Authenticate'] = 'Bearer realm="holdfast"';
  if ((problem.status === 503 || problem.status === 429) && !raw.hasHeader('Retry-After'))
    headers['Retry-After'] = '5';
  if (problem.status === 405) headers['Allow'] = methodsOf(pathOf(request)).join(', ');
  reply.hijack();
  raw.writeHead(problem.status, headers);
  raw.end(request.method === 'HEAD' ? undefined : body);
}

/** A refused upload must not keep its connection busy with a body that nobody reads. */
function lingerThenClose(request: IncomingMessage, response: ServerResponse): void {
  if (request.complete || request.readableEnded) return;
  const hasBody =
    request.headers['content-length'] !== undefined
      ? request.headers['content-length'] !== '0'
      : request.headers['transfer-encoding'] !== undefined;
  if (!hasBody) return;
  response.setHeader('Connection', 'close');
  const timer = setTimeout(() => request.socket.destroy(), LINGER_MS).unref();
  request.socket.once('close', () => clearTimeout(timer));
}

function normalise(error: unknown): unknown {
  if (isHoldfastError(error) || !(error instanceof Error)) return error;
  const code = 'code' in error ? error.code : undefined;
  if (code === 'ERR_STREAM_PREMATURE_CLOSE' || code === 'ECONNRESET') {
    return new HoldfastError('cancelled', 'The client closed the connection.', { cause: error });
  }
  const status = 'statusCode' in error && typeof error.statusCode === 'number' ? error.statusCode : 500;
  if (status >= 400 && status < 500) {
    const known = Object.keys(errorCatalogue)
      .filter(isErrorCode)
      .find((name) => errorCatalogue[name].status === status);
    return new HoldfastError(known ?? 'invalid_request', error.message, { cause: error });
  }
  return error;
}

function pathOf(request: FastifyRequest): string {
  return request.url.split('?')[0] ?? '';
}

function notFound(request: FastifyRequest): HoldfastError {
  const path = pathOf(request);
  const methods = methodsOf(path);
  if (methods.length > 0) {
    return new HoldfastError(
      'method_not_allowed',
      `${request.method} is not possible on ${path}; use ${methods.join(' or ')}.`,
    );
  }
  return new HoldfastError('not_found', `There is nothing at ${path}; the API is described at /docs.`);
}

/** What is no HTTP at all is answered like everything else, and the connection is closed. */
function answerGarbledRequest(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const tooLarge = error.code === 'HPE_HEADER_OVERFLOW';
  const detail = tooLarge ? 'The request head is too large.' : 'The request is not valid HTTP/1.1.';
  const problem = toProblem(new HoldfastError('invalid_request', detail), requestIdOf({}));
  const body = JSON.stringify(problem);
  socket.end(
    `HTTP/1.1 400 Bad Request\r\nX-Request-Id: ${problem.request_id}\r\nContent-Type: application/problem+json; charset=utf-8\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}

/** Firmware joins paths carelessly: `//api/v1//files` means the same as one slash each. The query stays as it is. */
function singleSlashes(request: { url?: string }): string {
  const url = request.url ?? '/';
  if (!url.includes('//')) return url;
  const end = url.indexOf('?');
  const path = end === -1 ? url : url.slice(0, end);
  return path.replace(/\/{2,}/g, '/') + (end === -1 ? '' : url.slice(end));
}

/** Uploads may take hours: no time limit on a whole request; bodies have an idle guard of their own. */
function createServer(tls: HttpOptions['tls'], handler: RequestListener): Server {
  const server = tls === null ? createPlainServer(handler) : createSecureServer(tls, handler);
  server.requestTimeout = 0;
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  return server;
}

function createSecureServer(files: { certFile: string; keyFile: string }, handler: RequestListener): Server {
  const pem = readTls(files);
  try {
    return createTlsServer(pem, handler);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new HoldfastError(
      'validation_failed',
      `The TLS certificate ${files.certFile} and key ${files.keyFile} do not work together: ${reason}`,
      { cause: error },
    );
  }
}

function readTls(files: { certFile: string; keyFile: string }): { cert: Buffer; key: Buffer } {
  try {
    return { cert: readFileSync(files.certFile), key: readFileSync(files.keyFile) };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new HoldfastError('validation_failed', `The TLS certificate or key cannot be read: ${reason}`, {
      cause: error,
    });
  }
}

function reloadTls(app: FastifyInstance, files: { certFile: string; keyFile: string }, logger: Logger): void {
  const reload = (): void => {
    try {
      if (app.server instanceof TlsServer) app.server.setSecureContext(readTls(files));
      logger.info('the TLS certificate was reloaded');
    } catch (error) {
      logger.error({ err: error }, 'the changed TLS certificate cannot be used; the former one stays');
    }
  };
  for (const file of [files.certFile, files.keyFile])
    watchFile(file, { interval: 5_000, persistent: false }, reload);
  app.addHook('onClose', async () => {
    for (const file of [files.certFile, files.keyFile]) unwatchFile(file, reload);
  });
}
