import type { FastifyInstance } from 'fastify';
import { docsPage } from '@holdfast/contract/docs-page';
import { endpoints } from '@holdfast/contract/endpoints';
import { openApiDocument } from '@holdfast/contract/openapi';
import type { Readiness } from '@holdfast/contract/system';
import type { HubContext } from '../context.ts';
import { Answer, mount } from '../http/mount.ts';
import { version } from '../version.ts';
import { success } from './views.ts';

export function systemRoutes(app: FastifyInstance, context: HubContext): void {
  const { catalog, metrics } = context;
  const startedAt = new Date();

  mount(app, endpoints.getSystemInfo, async () =>
    success({
      version,
      started_at: startedAt.toISOString(),
      uptime_seconds: process.uptime(),
      database: { type: catalog.dialect, schema_version: catalog.schemaVersion },
      runtime: { name: 'node', version: process.version, platform: process.platform, arch: process.arch },
    }),
  );
  mount(app, endpoints.getHealth, async () => ({ status: 'ok' }));
  mount(app, endpoints.getReadiness, async () => {
    const checks = [await databaseCheck(context), bootBackendCheck(context), drainCheck(context)];
    const ready = checks.every((check) => check.ok);
    return new Answer(ready ? 200 : 503, { status: ready ? 'ready' : 'not_ready', checks });
  });
  mount(app, endpoints.getMetrics, async ({ reply }) => {
    void reply.header('content-type', metrics.registry.contentType);
    return metrics.registry.metrics();
  });

  const document = openApiDocument({ version });
  const html = docsPage(document);
  mount(app, endpoints.getOpenApi, async () => document);
  mount(app, endpoints.getDocs, async ({ reply }) => {
    void reply.header('content-type', 'text/html; charset=utf-8');
    void reply.header(
      'content-security-policy',
      "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
    );
    return html;
  });
}

function bootBackendCheck({ settings, backends }: HubContext): Readiness['checks'][number] {
  const id = settings.current.default_boot_backend_id;
  const live = id === null ? undefined : backends.find(id);
  if (live === undefined) return { name: 'boot backend', ok: true, message: 'none is set' };
  return { name: 'boot backend', ok: live.status === 'online', message: live.statusMessage };
}

async function databaseCheck({ catalog }: HubContext): Promise<Readiness['checks'][number]> {
  try {
    await catalog.ping();
    return { name: 'database', ok: true, message: 'answers' };
  } catch (error) {
    return { name: 'database', ok: false, message: error instanceof Error ? error.message : String(error) };
  }
}

function drainCheck({ isDraining }: HubContext): Readiness['checks'][number] {
  return isDraining()
    ? { name: 'shutdown', ok: false, message: 'the hub is shutting down' }
    : { name: 'shutdown', ok: true, message: 'not under way' };
}
