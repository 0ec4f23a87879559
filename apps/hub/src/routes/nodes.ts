import type { FastifyInstance } from 'fastify';
import { parseBackendPath } from '@holdfast/bytes/backend-path';
import type { Node as NodeRow } from '@holdfast/catalog/nodes';
import { endpoints } from '@holdfast/contract/endpoints';
import { HoldfastError } from '@holdfast/contract/errors';
import { nodeTokenFrom } from '@holdfast/contract/node-token';
import type { Node } from '@holdfast/contract/nodes';
import type { HubContext } from '../context.ts';
import { readText } from '../http/body.ts';
import { mount } from '../http/mount.ts';
import { serverUrl } from '../http/server-url.ts';
import { operationView, page, success } from './views.ts';

/** The body of the installed call: a token and little else. */
const MAX_TOKEN_BODY_BYTES = 4096;

export function nodeRoutes(
  app: FastifyInstance,
  { bootLuns, catalog, config, netboot, settings }: HubContext,
): void {
  const requireWorkflow = async (id: string | null | undefined): Promise<void> => {
    if (id === null || id === undefined || (await catalog.workflows.get(id)) !== null) return;
    throw new HoldfastError('validation_failed', `workflow_id: there is no workflow with the id ${id}.`, {
      errors: [{ field: 'workflow_id', message: 'does not exist' }],
    });
  };

  mount(app, endpoints.listNodes, async ({ query }) => {
    const rows = await catalog.nodes.list({
      limit: query.limit,
      ...(query.cursor === undefined ? {} : { cursor: query.cursor }),
      ...(query.state === undefined ? {} : { state: query.state }),
    });
    return page(rows, nodeView);
  });
  mount(app, endpoints.createNode, async ({ body }) => {
    await requireWorkflow(body.workflow_id);
    const { mac, name, state, workflow_id: workflowId, arch } = body;
    return success(nodeView(await catalog.nodes.insert({ mac, name, state, workflowId, arch })));
  });
  mount(app, endpoints.getNode, async ({ params }) =>
    success(nodeView(found(await catalog.nodes.get(params.id), params.id))),
  );
  mount(app, endpoints.updateNode, async ({ params, body }) => {
    await requireWorkflow(body.workflow_id);
    const row = await catalog.nodes.update(params.id, {
      ...(body.name === undefined ? {} : { name: body.name }),
      ...(body.state === undefined ? {} : { state: body.state }),
      ...(body.workflow_id === undefined ? {} : { workflowId: body.workflow_id }),
      ...(body.arch === undefined ? {} : { arch: body.arch }),
    });
    return success(nodeView(found(row, params.id)));
  });
  mount(app, endpoints.deleteNode, async ({ params }) => {
    if (!(await catalog.nodes.remove(params.id))) found(null, params.id);
    return success({ id: params.id });
  });
  mount(app, endpoints.previewNode, async ({ params, request }) => {
    return success(await netboot.preview(params.id, serverUrl(request, config)));
  });
  mount(app, endpoints.writeBootLun, async ({ params, body, principal }) => {
    const node = found(await catalog.nodes.get(params.id), params.id);
    const backendId = body.backend_id ?? settings.current.default_boot_backend_id;
    if (backendId === null)
      throw new HoldfastError('no_boot_backend', 'No boot backend is set: name backend_id.');
    const path = parseBackendPath(body.image_path, 'image_path');
    const row = await bootLuns.start({ node, backendId, path, request: body, actor: principal.actor });
    return success(operationView(row));
  });
  mount(app, endpoints.reportInstalled, async ({ params, query, request }) => {
    const body = await readText(request.raw, MAX_TOKEN_BODY_BYTES);
    const token = nodeTokenFrom({ query: query.token, authorization: request.headers.authorization, body });
    const node = await netboot.reportInstalled(params.id, token);
    return success({
      id: node.id,
      state: 'installed',
      installed_at: (node.installedAt ?? new Date()).toISOString(),
    });
  });
}

function found(row: NodeRow | null, id: string): NodeRow {
  if (row !== null) return row;
  throw new HoldfastError('node_not_found', `There is no node with the id ${id}.`);
}

function nodeView(row: NodeRow): Node {
  return {
    id: row.id,
    mac: row.mac,
    name: row.name,
    state: row.state,
    workflow_id: row.workflowId,
    arch: row.arch,
    uuid: row.uuid,
    serial: row.serial,
    vendor: row.vendor,
    model: row.model,
    last_ip: row.lastIp,
    last_seen_at: row.lastSeenAt?.toISOString() ?? null,
    installed_at: row.installedAt?.toISOString() ?? null,
    created_at: row.createdAt.toISOString(),
    updated_at: row.updatedAt.toISOString(),
  };
}
