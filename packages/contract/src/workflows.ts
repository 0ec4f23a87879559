import { z } from 'zod';
import { defineEndpoint } from './endpoint.ts';
import { success, wholeList } from './envelope.ts';
import { deletedId, displayName, id, idParams, queryBoolean, time } from './fields.ts';
import { bootPathProblem, bootUrlProblem, cmdlineProblem, workflowProblems } from './workflow-rules.ts';

const base = '/api/v1/workflows';
const tag = 'Workflows';

export const installMethod = z.enum(['kernel', 'sanboot', 'chain']);
export type InstallMethod = z.output<typeof installMethod>;
export const architecture = z.enum(['x86_64', 'arm64', 'i386']);
export type Architecture = z.output<typeof architecture>;
export const bootMode = z.enum(['bios', 'uefi']);
export type BootMode = z.output<typeof bootMode>;

/** What a machine boots. */
export const workflow = z
  .object({
    id,
    name: z.string(),
    install_method: installMethod,
    kernel_path: z.string().nullable(),
    initrd_path: z.string().nullable(),
    cmdline: z.string(),
    boot_url: z.string().nullable(),
    architecture,
    boot_mode: bootMode,
    created_at: time,
    updated_at: time,
  })
  .meta({ id: 'Workflow' });
export type Workflow = z.output<typeof workflow>;

/** A string that a rule may refuse with the end of a sentence. */
function ruled(maximum: number, problem: (text: string) => string | undefined) {
  return z
    .string()
    .max(maximum, `must be at most ${maximum} characters`)
    .superRefine((text, context) => {
      const message = problem(text);
      if (message !== undefined) context.addIssue({ code: 'custom', message });
    });
}

const fields = {
  name: displayName,
  install_method: installMethod,
  kernel_path: ruled(4096, bootPathProblem)
    .nullable()
    .describe('The kernel on the boot backend. `kernel` needs it.')
    .meta({ examples: ['/debian/vmlinuz'] }),
  initrd_path: ruled(4096, bootPathProblem).nullable().describe('The initial RAM disk on the boot backend.'),
  // 2048 is COMMAND_LINE_SIZE of Linux on x86 and arm64; the kernel cuts off what is longer.
  cmdline: ruled(2048, cmdlineProblem)
    .describe(
      'The kernel command line. `${server}`, `${node_id}`, `${mac}`, `${ip}` and `${node_token}` are filled in.',
    )
    .meta({ examples: ['console=ttyS0 holdfast.server=${server} holdfast.token=${node_token}'] }),
  boot_url: ruled(4096, bootUrlProblem)
    .nullable()
    .describe(
      'An http, https, tftp or iscsi URL, or a /path on the boot backend; with the same variables. ' +
        '`sanboot` and `chain` need it.',
    ),
  architecture,
  boot_mode: bootMode,
};

export const workflowCreate = z
  .strictObject({
    ...fields,
    kernel_path: fields.kernel_path.default(null),
    initrd_path: fields.initrd_path.default(null),
    cmdline: fields.cmdline.default(''),
    boot_url: fields.boot_url.default(null),
    architecture: architecture.default('x86_64'),
    boot_mode: bootMode.default('uefi'),
  })
  .superRefine((value, context) => {
    for (const { field, message } of workflowProblems(value)) {
      context.addIssue({ code: 'custom', path: [field], message });
    }
  })
  .meta({ id: 'WorkflowCreate' });
export type WorkflowCreate = z.output<typeof workflowCreate>;

/** Only the named fields change. `workflowProblems` is applied to the workflow as it would become. */
export const workflowPatch = z.strictObject(fields).partial().meta({ id: 'WorkflowPatch' });
export type WorkflowPatch = z.output<typeof workflowPatch>;

export const workflowEndpoints = {
  listWorkflows: defineEndpoint({
    method: 'GET',
    path: base,
    access: 'boot:read',
    tag,
    summary: 'List the workflows',
    description: 'All of them in one answer, by name.',
    response: wholeList(workflow),
    status: [200],
  }),
  createWorkflow: defineEndpoint({
    method: 'POST',
    path: base,
    access: 'boot:write',
    tag,
    summary: 'Add a workflow',
    body: workflowCreate,
    response: success(workflow),
    status: [201],
    errors: ['name_taken'],
  }),
  getWorkflow: defineEndpoint({
    method: 'GET',
    path: `${base}/{id}`,
    access: 'boot:read',
    tag,
    summary: 'Show a workflow',
    params: idParams,
    response: success(workflow),
    status: [200],
    errors: ['workflow_not_found'],
  }),
  updateWorkflow: defineEndpoint({
    method: 'PATCH',
    path: `${base}/{id}`,
    access: 'boot:write',
    tag,
    summary: 'Change a workflow',
    params: idParams,
    body: workflowPatch,
    response: success(workflow),
    status: [200],
    errors: ['workflow_not_found', 'name_taken'],
  }),
  deleteWorkflow: defineEndpoint({
    method: 'DELETE',
    path: `${base}/{id}`,
    access: 'boot:write',
    tag,
    summary: 'Remove a workflow',
    description:
      'Refused with `conflict` while nodes refer to it, unless `force` is set, which leaves them without one.',
    params: idParams,
    query: z.object({ force: queryBoolean.default(false).describe('Also when nodes refer to it.') }),
    response: success(deletedId),
    status: [200],
    errors: ['workflow_not_found', 'conflict'],
  }),
};
