import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { BodySpec, Endpoint, ParsedOf } from '@holdfast/contract/endpoint';
import { HoldfastError } from '@holdfast/contract/errors';
import type { Principal } from '../access/access.ts';
import { readJson } from './body.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    endpoint?: Endpoint;
  }
  interface FastifyRequest {
    principal: Principal;
    /** performance.now() when the head arrived. */
    arrivedAt: number;
  }
}

/** What a route's handler is given: everything parsed, and the caller. */
export interface Call<
  P extends z.ZodType | undefined,
  Q extends z.ZodType | undefined,
  B extends BodySpec | undefined,
> {
  params: ParsedOf<P>;
  query: ParsedOf<Q>;
  body: B extends z.ZodType ? z.output<B> : undefined;
  principal: Principal;
  /** Aborts when the client goes away. */
  signal: AbortSignal;
  request: FastifyRequest;
  reply: FastifyReply;
}

/** An answer with a status other than the endpoint's first. */
export class Answer {
  readonly status: number;
  readonly body: unknown;
  constructor(status: number, body: unknown) {
    this.status = status;
    this.body = body;
  }
}

/** The handler has answered on the raw response by itself. */
export const answered = Symbol('answered');

/**
 * Mounts an endpoint of the contract: its path, its access rule, its schemas. The handler's result is sent as
 * JSON with the endpoint's first status, or as an `Answer`; strings are sent as they are.
 * @param options `maxJsonBytes`: what a JSON body may have at most, where that is not the usual size
 */
export function mount<
  P extends z.ZodType | undefined,
  Q extends z.ZodType | undefined,
  B extends BodySpec | undefined,
  R extends BodySpec | undefined,
>(
  app: FastifyInstance,
  endpoint: Endpoint<P, Q, B, R>,
  handler: (call: Call<P, Q, B>) => Promise<unknown>,
  options: { maxJsonBytes?: number } = {},
): void {
  app.route({
    method: endpoint.method,
    url: routerPath(endpoint.path),
    config: { endpoint },
    handler: async (request, reply) => {
      const params = parsePart(endpoint.params, request.params);
      const query = parsePart(endpoint.query, request.query);
      const body = await parseBody(endpoint.body, request, options.maxJsonBytes);
      let signal: AbortSignal | undefined;
      const result = await handler({
        params,
        query,
        body,
        principal: request.principal,
        get signal() {
          return (signal ??= closeSignal(reply));
        },
        request,
        reply,
      });
      if (result === answered) return reply;
      if (result instanceof Answer) return reply.code(result.status).send(result.body);
      return reply.code(endpoint.status[0] ?? 200).send(result);
    },
  });
}

/** Mounts an endpoint whose handler parses and answers by itself, on the raw response; for paths that firmware takes. */
export function mountRaw(
  app: FastifyInstance,
  endpoint: Endpoint,
  handler: (request: FastifyRequest, reply: FastifyReply) => Promise<void>,
): void {
  app.route({
    method: endpoint.method,
    url: routerPath(endpoint.path),
    config: { endpoint },
    handler: async (request, reply) => {
      await handler(request, reply);
      return reply;
    },
  });
}

/** `{name}` and `{name*}` of the contract as the router writes them. */
function routerPath(path: string): string {
  return path.replace(/\{[^}]*\*\}/, '*').replace(/\{([^}]+)\}/g, ':$1');
}

/** @throws ZodError, which is answered as `validation_failed` with the fields named */
function parsePart<S extends z.ZodType | undefined>(schema: S | undefined, value: unknown): ParsedOf<S>;
function parsePart(schema: z.ZodType | undefined, value: unknown): unknown {
  return schema?.parse(value ?? {});
}

async function parseBody<B extends BodySpec | undefined>(
  spec: B | undefined,
  request: FastifyRequest,
  maxJsonBytes: number | undefined,
): Promise<B extends z.ZodType ? z.output<B> : undefined>;
async function parseBody(
  spec: BodySpec | undefined,
  request: FastifyRequest,
  maxJsonBytes: number | undefined,
): Promise<unknown> {
  if (spec === undefined || !(spec instanceof z.ZodType)) return undefined;
  return parsePart(spec, await readJson(request.raw, maxJsonBytes));
}

/** Aborts when the connection closes before the answer was finished. (Fastify's own signal fires when the body ends.) */
function closeSignal(reply: FastifyReply): AbortSignal {
  const controller = new AbortController();
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) {
      controller.abort(new HoldfastError('cancelled', 'The client closed the connection.'));
    }
  });
  return controller.signal;
}
