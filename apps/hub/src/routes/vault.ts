import type { FastifyInstance } from 'fastify';
import { endpoints } from '@holdfast/contract/endpoints';
import type { HubContext } from '../context.ts';
import { mount } from '../http/mount.ts';
import { operationView, success } from './views.ts';

export function vaultRoutes(app: FastifyInstance, { vault }: HubContext): void {
  mount(app, endpoints.getVault, async () => success(await vault.stats()));

  mount(app, endpoints.collectVault, async ({ body, principal }) => {
    const row = await vault.collect({ dryRun: body.dry_run, actor: principal.actor });
    return success({ operation_id: row.id });
  });

  mount(app, endpoints.verifyVault, async ({ body, principal }) => {
    const { sha256, hostname, path_prefix: pathPrefix, rate_limit_mbps: rateLimitMbps } = body;
    const row = await vault.verify({ sha256, hostname, pathPrefix, rateLimitMbps }, principal.actor);
    return success(operationView(row));
  });
}
