import { z } from 'zod';
import { defineEndpoint } from './endpoint.ts';
import { success, wholeList } from './envelope.ts';
import { byteCount, count, deletedId, displayName, id, idParams, queryBoolean, time } from './fields.ts';

const base = '/api/v1/storage/backends';
const tag = 'Storage backends';

/** The configuration of a `local` backend. */
export const localConfig = z
  .strictObject({
    root: z
      .string()
      .max(4096)
      .regex(/^\/[^\0]*$/, 'must be an absolute path')
      .describe('The folder that holds the files, as an absolute path on the hub.')
      .meta({ examples: ['/srv/holdfast'] }),
  })
  .meta({ id: 'LocalConfig' });

/** The kinds of backends that this version has. */
export const backendTypes = ['local'] as const;
export const backendType = z.enum(backendTypes);
export type BackendType = z.output<typeof backendType>;

/** What a backend can do; callers ask this and not the type. */
export const backendCapabilities = z
  .object({
    writable: z.boolean(),
    move: z.boolean(),
    copy: z.boolean(),
    folders: z.boolean().describe('Folders exist on their own, not only as prefixes of files.'),
    usage: z.boolean(),
  })
  .meta({ id: 'BackendCapabilities' });

const common = {
  id,
  name: z.string(),
  status: z.enum(['online', 'offline', 'error']),
  status_message: z.string().nullable().describe('Why the backend is not online, and what to do.'),
  capabilities: backendCapabilities,
  mount_point: z.string().nullable().describe('Where the hub sees the files, when it is a folder.'),
  stats: z.object({
    used_bytes: byteCount.nullable(),
    total_bytes: byteCount.nullable(),
    file_count: count.nullable().describe('Files with a checksum record.'),
    template_count: count.nullable().describe('Workflows that boot from this backend.'),
  }),
  checked_at: time.nullable().describe('When the status was last looked at.'),
  created_at: time,
  updated_at: time,
};

/** A configured storage, without its secrets. One member a type. */
export const backend = z
  .discriminatedUnion('type', [z.object({ ...common, type: z.literal('local'), config: localConfig })])
  .meta({ id: 'Backend' });
export type Backend = z.output<typeof backend>;

/** A new backend. One member a type; unknown fields are refused by name. */
export const backendCreate = z
  .discriminatedUnion(
    'type',
    [z.strictObject({ name: displayName, type: z.literal('local'), config: localConfig })],
    {
      error: (issue) =>
        issue.code === 'invalid_union' ? `must be one of: ${backendTypes.join(', ')}` : undefined,
    },
  )
  .meta({ id: 'BackendCreate' });
export type BackendCreate = z.output<typeof backendCreate>;

/** The configuration by type: what a stored configuration is once a PATCH is merged into it. */
export const backendConfigs = { local: localConfig } as const satisfies Record<BackendType, z.ZodType>;

export const backendPatch = z
  .strictObject({
    name: displayName.optional(),
    config: localConfig.partial().optional().describe('Merged into the configuration; the type stays.'),
  })
  .meta({ id: 'BackendPatch' });
export type BackendPatch = z.output<typeof backendPatch>;

export const backendTest = z
  .object({
    success: z.boolean(),
    message: z.string(),
    latency_ms: z.number().min(0),
    checks: z.array(z.object({ name: z.string(), ok: z.boolean(), message: z.string() })),
  })
  .meta({ id: 'BackendTest' });
export type BackendTest = z.output<typeof backendTest>;

export const backendEndpoints = {
  listBackends: defineEndpoint({
    method: 'GET',
    path: base,
    access: 'backends:read',
    tag,
    summary: 'List the storage backends',
    description: 'All backends in one answer, by name. A key that is limited to a backend sees that one.',
    response: wholeList(backend),
    status: [200],
  }),
  createBackend: defineEndpoint({
    method: 'POST',
    path: base,
    access: 'backends:write',
    tag,
    summary: 'Add a storage backend',
    description:
      'The configuration is checked before anything is stored: the folder has to be there. A marker file is put ' +
      'into it, by which the hub knows later that the right volume is mounted.',
    body: backendCreate,
    response: success(backend),
    status: [201],
    errors: ['name_taken', 'conflict', 'backend_unavailable', 'read_only'],
  }),
  getBackend: defineEndpoint({
    method: 'GET',
    path: `${base}/{id}`,
    access: 'backends:read',
    tag,
    summary: 'Show a storage backend',
    params: idParams,
    response: success(backend),
    status: [200],
    errors: ['backend_not_found'],
  }),
  updateBackend: defineEndpoint({
    method: 'PATCH',
    path: `${base}/{id}`,
    access: 'backends:write',
    tag,
    summary: 'Change the name or the configuration of a backend',
    params: idParams,
    body: backendPatch,
    response: success(backend),
    status: [200],
    errors: [
      'backend_not_found',
      'name_taken',
      'conflict',
      'wrong_volume',
      'backend_unavailable',
      'read_only',
    ],
  }),
  deleteBackend: defineEndpoint({
    method: 'DELETE',
    path: `${base}/{id}`,
    access: 'backends:write',
    tag,
    summary: 'Forget a backend',
    description:
      'The files stay where they are; the hub only forgets the backend and its checksum records. Refused with ' +
      '`backend_in_use` while it is the boot or ingest backend, unless `force` is set, which clears the setting too.',
    params: idParams,
    query: z.object({ force: queryBoolean.default(false).describe('Also when it is in use.') }),
    response: success(deletedId),
    status: [200],
    errors: ['backend_not_found', 'backend_in_use'],
  }),
  testBackend: defineEndpoint({
    method: 'POST',
    path: `${base}/{id}/test`,
    access: 'backends:write',
    tag,
    summary: 'Test a backend',
    description: 'Runs named checks, among them a small write. Answers 200 also when a check fails.',
    params: idParams,
    response: success(backendTest),
    status: [200],
    errors: ['backend_not_found'],
  }),
};
