import type { FastifyInstance } from 'fastify';
import { endpoints } from '@holdfast/contract/endpoints';
import { reaches, requireReach } from '../access/principal.ts';
import type { HubContext } from '../context.ts';
import { mount } from '../http/mount.ts';
import { success } from './views.ts';

export function transferRoutes(app: FastifyInstance, { transfers }: HubContext): void {
  mount(app, endpoints.listTransfers, async ({ principal }) => {
    const visible = transfers.list().filter(({ backend_id, path }) => reaches(principal, backend_id, path));
    return { success: true, data: visible, total: visible.length };
  });

  mount(app, endpoints.endTransfer, async ({ params, principal }) => {
    const { backend_id, path } = transfers.get(params.id);
    requireReach(principal, backend_id, path);
    transfers.end(params.id, principal.actor);
    return success({ id: params.id });
  });
}
