import type { FastifyInstance } from 'fastify';
import type { Workflow as WorkflowRow, WorkflowPatch } from '@holdfast/catalog/workflows';
import { endpoints } from '@holdfast/contract/endpoints';
import { HoldfastError } from '@holdfast/contract/errors';
import { workflowProblems } from '@holdfast/contract/workflow-rules';
import type { Workflow } from '@holdfast/contract/workflows';
import type { HubContext } from '../context.ts';
import { mount } from '../http/mount.ts';
import { success } from './views.ts';

export function workflowRoutes(app: FastifyInstance, { catalog }: HubContext): void {
  mount(app, endpoints.listWorkflows, async () => {
    const rows = await catalog.workflows.list();
    return { success: true, data: rows.map(workflowView), total: rows.length };
  });
  mount(app, endpoints.createWorkflow, async ({ body }) => {
    const row = await catalog.workflows.insert({
      name: body.name,
      installMethod: body.install_method,
      kernelPath: body.kernel_path,
      initrdPath: body.initrd_path,
      cmdline: body.cmdline,
      bootUrl: body.boot_url,
      architecture: body.architecture,
      bootMode: body.boot_mode,
    });
    return success(workflowView(row));
  });
  mount(app, endpoints.getWorkflow, async ({ params }) =>
    success(workflowView(found(await catalog.workflows.get(params.id), params.id))),
  );
  mount(app, endpoints.updateWorkflow, async ({ params, body }) => {
    const before = workflowView(found(await catalog.workflows.get(params.id), params.id));
    const given = Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined));
    const problems = workflowProblems({ ...before, ...given });
    if (problems.length > 0) {
      const sentence = problems.map(({ field, message }) => `${field} ${message}`).join('; ');
      throw new HoldfastError('validation_failed', `The workflow would not boot: ${sentence}.`, {
        errors: problems,
      });
    }
    const row = await catalog.workflows.update(params.id, toPatch(body));
    return success(workflowView(found(row, params.id)));
  });
  mount(app, endpoints.deleteWorkflow, async ({ params, query }) => {
    if (!(await catalog.workflows.remove(params.id, query))) found(null, params.id);
    return success({ id: params.id });
  });
}

function toPatch(body: Partial<Omit<Workflow, 'id' | 'created_at' | 'updated_at'>>): WorkflowPatch {
  const patch: WorkflowPatch = {};
  if (body.name !== undefined) patch.name = body.name;
  if (body.install_method !== undefined) patch.installMethod = body.install_method;
  if (body.kernel_path !== undefined) patch.kernelPath = body.kernel_path;
  if (body.initrd_path !== undefined) patch.initrdPath = body.initrd_path;
  if (body.cmdline !== undefined) patch.cmdline = body.cmdline;
  if (body.boot_url !== undefined) patch.bootUrl = body.boot_url;
  if (body.architecture !== undefined) patch.architecture = body.architecture;
  if (body.boot_mode !== undefined) patch.bootMode = body.boot_mode;
  return patch;
}

function found(row: WorkflowRow | null, id: string): WorkflowRow {
  if (row !== null) return row;
  throw new HoldfastError('workflow_not_found', `There is no workflow with the id ${id}.`);
}

function workflowView(row: WorkflowRow): Workflow {
  return {
    id: row.id,
    name: row.name,
    install_method: row.installMethod,
    kernel_path: row.kernelPath,
    initrd_path: row.initrdPath,
    cmdline: row.cmdline ?? '',
    boot_url: row.bootUrl,
    architecture: row.architecture,
    boot_mode: row.bootMode,
    created_at: row.createdAt.toISOString(),
    updated_at: row.updatedAt.toISOString(),
  };
}
