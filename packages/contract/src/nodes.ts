import { z } from 'zod';
import { defineEndpoint, rawBody } from './endpoint.ts';
import { listOf, pageQuery, success } from './envelope.ts';
import { byteCount, deletedId, displayName, id, idParams, sha256, time } from './fields.ts';
import { mac, macInput } from './mac.ts';

const base = '/api/v1/nodes';
const tag = 'Nodes';

export const nodeStates = [
  'discovered',
  'pending',
  'installing',
  'installed',
  'active',
  'ignored',
  'retired',
] as const;

/** `pending` and `installing` machines run their workflow; all others boot their own disk. */
export const nodeState = z.enum(nodeStates);
export type NodeState = z.output<typeof nodeState>;

const machineField = z.string().nullable().describe('As the machine told it.');

/** A machine that boots. */
export const node = z
  .object({
    id,
    mac,
    name: z.string().nullable(),
    state: nodeState,
    workflow_id: z.string().nullable(),
    arch: machineField,
    uuid: machineField,
    serial: machineField,
    vendor: machineField,
    model: machineField,
    last_ip: z.string().nullable(),
    last_seen_at: time.nullable(),
    installed_at: time.nullable(),
    created_at: time,
    updated_at: time,
  })
  .meta({ id: 'Node' });
export type Node = z.output<typeof node>;

const arch = z.string().regex(/^[\w-]{1,32}$/, 'must be the name of an architecture such as x86_64');

export const nodeCreate = z
  .strictObject({
    mac: macInput,
    name: displayName.nullable().default(null),
    state: nodeState
      .optional()
      .describe('Default: `pending` when there is a workflow, `discovered` otherwise.'),
    workflow_id: id.nullable().default(null),
    arch: arch.nullable().default(null),
  })
  .transform((fields) => ({
    ...fields,
    state: fields.state ?? (fields.workflow_id === null ? ('discovered' as const) : ('pending' as const)),
  }))
  .meta({ id: 'NodeCreate' });
export type NodeCreate = z.output<typeof nodeCreate>;

export const nodePatch = z
  .strictObject({
    name: displayName.nullable().optional(),
    state: nodeState.optional(),
    workflow_id: id.nullable().optional(),
    arch: arch.nullable().optional(),
  })
  .meta({ id: 'NodePatch' });
export type NodePatch = z.output<typeof nodePatch>;

/** What a machine would get, and whether it would work. */
export const nodePreview = z
  .object({
    ipxe: z.string().describe('The iPXE script, with a placeholder for the one-time token.'),
    grub: z.string().describe('The GRUB configuration, likewise.'),
    files: z.array(
      z.object({
        role: z.enum(['kernel', 'initrd', 'boot']),
        path: z.string().describe('On the boot backend.'),
        exists: z.boolean(),
        size: byteCount.nullable(),
        checksum_sha256: sha256.nullable(),
        verified: z
          .boolean()
          .nullable()
          .describe('Whether the bytes have the recorded checksum; null without one.'),
        problem: z.string().nullable().describe('What is wrong with the file, and what to do.'),
      }),
    ),
    problems: z.array(z.string()).describe('What is wrong with the workflow or the hub, and what to do.'),
  })
  .meta({ id: 'NodePreview' });
export type NodePreview = z.output<typeof nodePreview>;

export const nodeEndpoints = {
  listNodes: defineEndpoint({
    method: 'GET',
    path: base,
    access: 'boot:read',
    tag,
    summary: 'List the nodes',
    query: pageQuery.extend({ state: nodeState.optional() }),
    response: listOf(node),
    status: [200],
  }),
  createNode: defineEndpoint({
    method: 'POST',
    path: base,
    access: 'boot:write',
    tag,
    summary: 'Add a node before it boots',
    description: 'A workflow that does not exist is refused with `validation_failed`.',
    body: nodeCreate,
    response: success(node),
    status: [201],
    errors: ['already_exists'],
  }),
  getNode: defineEndpoint({
    method: 'GET',
    path: `${base}/{id}`,
    access: 'boot:read',
    tag,
    summary: 'Show a node',
    params: idParams,
    response: success(node),
    status: [200],
    errors: ['node_not_found'],
  }),
  updateNode: defineEndpoint({
    method: 'PATCH',
    path: `${base}/{id}`,
    access: 'boot:write',
    tag,
    summary: 'Name a node, change its state or its workflow',
    description: 'A workflow that does not exist is refused with `validation_failed`.',
    params: idParams,
    body: nodePatch,
    response: success(node),
    status: [200],
    errors: ['node_not_found'],
  }),
  deleteNode: defineEndpoint({
    method: 'DELETE',
    path: `${base}/{id}`,
    access: 'boot:write',
    tag,
    summary: 'Forget a node',
    description:
      'It is discovered again when it boots again; set it to `ignored` to leave it alone for good.',
    params: idParams,
    response: success(deletedId),
    status: [200],
    errors: ['node_not_found'],
  }),
  previewNode: defineEndpoint({
    method: 'GET',
    path: `${base}/{id}/preview`,
    access: 'boot:read',
    tag,
    summary: 'Show what a node would boot',
    description: 'The rendered texts, and for each file whether it is on the boot backend and verifies.',
    params: idParams,
    response: success(nodePreview),
    status: [200],
    errors: ['node_not_found'],
  }),
  reportInstalled: defineEndpoint({
    method: 'POST',
    path: `${base}/{id}/installed`,
    access: 'anonymous',
    tag,
    summary: 'Say that the installation is done',
    description:
      'Called by the machine itself. Its one-time token, which the kernel command line carries as ' +
      '`${node_token}`, is the credential: as JSON `{"token": "…"}`, as form field `token`, as the body alone, as ' +
      '`?token=…` or as `Authorization: Bearer …`. The token is used up by it.',
    params: idParams,
    query: z.object({ token: z.string().max(512).optional().describe('The one-time token.') }),
    headers: { authorization: '`Bearer` and the one-time token.' },
    body: rawBody(
      ['application/json', 'application/x-www-form-urlencoded', 'text/plain'],
      'The one-time token, unless it is in the query or in `Authorization`. At most 4096 bytes.',
    ),
    response: success(z.object({ id, state: z.literal('installed'), installed_at: time })),
    status: [200],
    errors: ['unauthenticated', 'forbidden', 'node_not_found', 'too_large'],
  }),
};
