import { z } from 'zod';
import { defineEndpoint, rawBody } from './endpoint.ts';
import { success } from './envelope.ts';
import { time } from './fields.ts';

const tag = 'System';

export const systemInfo = z
  .object({
    version: z.string(),
    started_at: time,
    uptime_seconds: z.number().min(0),
    database: z.object({ type: z.enum(['sqlite', 'postgres']), schema_version: z.int().min(0) }),
    runtime: z.object({
      name: z.literal('node'),
      version: z.string(),
      platform: z.string(),
      arch: z.string(),
    }),
  })
  .meta({ id: 'SystemInfo' });
export type SystemInfo = z.output<typeof systemInfo>;

export const health = z.object({ status: z.literal('ok') }).meta({ id: 'Health' });

export const readiness = z
  .object({
    status: z.enum(['ready', 'not_ready']),
    checks: z.array(z.object({ name: z.string(), ok: z.boolean(), message: z.string() })),
  })
  .meta({ id: 'Readiness' });
export type Readiness = z.output<typeof readiness>;

export const systemEndpoints = {
  getSystemInfo: defineEndpoint({
    method: 'GET',
    path: '/api/v1/system/info',
    access: 'authenticated',
    tag,
    summary: 'Show version, uptime, database and runtime',
    response: success(systemInfo),
    status: [200],
  }),
  getHealth: defineEndpoint({
    method: 'GET',
    path: '/healthz',
    access: 'anonymous',
    tag,
    summary: 'Tell whether the process lives',
    response: health,
    status: [200],
  }),
  getReadiness: defineEndpoint({
    method: 'GET',
    path: '/readyz',
    access: 'anonymous',
    tag,
    summary: 'Tell whether the hub can serve',
    description: '503 with the same answer while a check fails or the hub is shutting down.',
    response: readiness,
    status: [200, 503],
  }),
  getMetrics: defineEndpoint({
    method: 'GET',
    path: '/metrics',
    access: 'authenticated',
    tag,
    summary: 'Metrics for Prometheus',
    response: rawBody(['text/plain'], 'The Prometheus text format, version 0.0.4.'),
    status: [200],
  }),
  getOpenApi: defineEndpoint({
    method: 'GET',
    path: '/openapi.json',
    access: 'anonymous',
    tag,
    summary: 'This interface as OpenAPI 3.1',
    response: z.looseObject({ openapi: z.string() }),
    status: [200],
  }),
  getDocs: defineEndpoint({
    method: 'GET',
    path: '/docs',
    access: 'anonymous',
    tag,
    summary: 'This interface as a readable page',
    response: rawBody(['text/html'], 'One self-contained page.'),
    status: [200],
  }),
};
