import type { FastifyInstance } from 'fastify';
import { endpoints } from '@holdfast/contract/endpoints';
import { HoldfastError } from '@holdfast/contract/errors';
import { hasScope } from '../access/principal.ts';
import type { HubContext } from '../context.ts';
import { mount } from '../http/mount.ts';
import { operationView, page, success } from './views.ts';

export function operationRoutes(app: FastifyInstance, { catalog, operations }: HubContext): void {
  mount(app, endpoints.listOperations, async ({ query, principal }) => {
    await operations.flush(); // a caller sees what they have just done
    const rows = await catalog.operations.list({
      limit: query.limit,
      ...(query.cursor === undefined ? {} : { cursor: query.cursor }),
      ...(query.operation === undefined ? {} : { operation: query.operation }),
      ...(query.file === undefined ? {} : { file: query.file }),
      ...(query.success === undefined ? {} : { success: query.success }),
      ...(query.since === undefined ? {} : { since: new Date(query.since) }),
      ...(hasScope(principal, 'admin') ? {} : { actor: principal.actor }),
    });
    return page(rows, operationView);
  });

  mount(app, endpoints.getOperation, async ({ params, principal }) => {
    await operations.flush();
    const row = await catalog.operations.get(params.id);
    if (row === null || (!hasScope(principal, 'admin') && row.actor !== principal.actor)) {
      throw new HoldfastError('operation_not_found', `There is no operation with the id ${params.id}.`);
    }
    return success(operationView(row));
  });
}
