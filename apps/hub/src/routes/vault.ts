import type { FastifyInstance } from 'fastify';
import { endpoints } from '@holdfast/contract/endpoints';
import type { HubContext } from '../context.ts';
import { mount } from '../http/mount.ts';
import { success } from './views.ts';

export function vaultRoutes(app: FastifyInstance, { vault }: HubContext): void {
  mount(app, endpoints.getVault, async () => success(await vault.stats()));

  mount(app, endpoints.collectVault, async ({ body, principal }) => {
    const row = await vault.collect({ dryRun: body.dry_run, actor: principal.actor });
    return success({ operation_id: row.id });
  });
}
