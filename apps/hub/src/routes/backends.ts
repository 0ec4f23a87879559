import type { FastifyInstance } from 'fastify';
import { backend, localConfig, type Backend } from '@holdfast/contract/backends';
import { endpoints } from '@holdfast/contract/endpoints';
import { toJson, objectOf, type JsonObject } from '@holdfast/contract/json';
import type { Backend as BackendRow } from '@holdfast/catalog/backends';
import { requireReachOfBackend, reachesBackend } from '../access/principal.ts';
import type { LiveBackend } from '../backends/backends.ts';
import { definitionOf } from '../backends/types.ts';
import type { HubContext } from '../context.ts';
import { mount } from '../http/mount.ts';
import { success } from './views.ts';

export function backendRoutes(app: FastifyInstance, { backends, catalog, netboot }: HubContext): void {
  const view = async (live: LiveBackend): Promise<Backend> => {
    const { row, storage } = live;
    const { writable, move, copy, folders, usage } = storage.capabilities;
    return backend.parse({
      id: row.id,
      name: row.name,
      type: row.type,
      status: live.status,
      status_message: live.status === 'online' ? null : live.statusMessage,
      config: shownConfig(row, definitionOf(row.type).secretFields),
      capabilities: { writable, move, copy, folders, usage },
      mount_point: row.type === 'local' ? localConfig.parse(row.config).root : null,
      stats: {
        used_bytes: live.usage?.usedBytes ?? null,
        total_bytes: live.usage?.totalBytes ?? null,
        file_count: await catalog.checksums.count(row.id),
        template_count: await netboot.workflowsOn(row.id),
      },
      checked_at: live.checkedAt?.toISOString() ?? null,
      created_at: row.createdAt.toISOString(),
      updated_at: row.updatedAt.toISOString(),
    });
  };

  mount(app, endpoints.listBackends, async ({ principal }) => {
    const visible = backends
      .list()
      .filter(({ row }) => reachesBackend(principal, row.id))
      .toSorted((a, b) => (a.row.name < b.row.name ? -1 : 1)); // names are unique
    return { success: true, data: await Promise.all(visible.map(view)), total: visible.length };
  });
  mount(app, endpoints.createBackend, async ({ body }) => {
    const { name, type, config } = body;
    const create = type === 'iscsi' && body.format;
    return success(await view(await backends.create({ name, type, config: toJsonObject(config), create })));
  });
  mount(app, endpoints.getBackend, async ({ params, principal }) => {
    requireReachOfBackend(principal, params.id);
    return success(await view(backends.get(params.id)));
  });
  mount(app, endpoints.updateBackend, async ({ params, body }) => {
    return success(await view(await backends.update(params.id, body)));
  });
  mount(app, endpoints.deleteBackend, async ({ params, query }) => {
    await backends.remove(params.id, query);
    return success({ id: params.id });
  });
  mount(app, endpoints.discoverIscsiTargets, async ({ body, signal }) => {
    return success({ targets: await backends.discoverIscsi(body, signal) });
  });
  mount(app, endpoints.testBackend, async ({ params, signal }) => {
    const report = await backends.check(params.id, signal);
    const failed = report.checks.find((check) => !check.ok);
    return success({
      success: report.ok,
      message: failed === undefined ? 'All checks passed.' : `${failed.name}: ${failed.message}`,
      latency_ms: report.latencyMs,
      checks: report.checks,
    });
  });
}

/** The configuration as it may be seen: of a secret only whether it is set. */
function shownConfig(row: BackendRow, secretFields: readonly string[]): JsonObject {
  const shown: JsonObject = { ...row.config };
  for (const field of secretFields) shown[`has_${field}`] = row.sealedSecrets !== null;
  return shown;
}

function toJsonObject(config: object): JsonObject {
  return objectOf(toJson(config));
}
