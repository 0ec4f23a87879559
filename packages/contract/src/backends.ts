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

const secret = z.string().min(1, 'must not be empty').max(4096);
const port = z.int().min(1).max(65_535);
const hostName = z.string().regex(/^[A-Za-z0-9.:_-]{1,253}$/, 'must be a host name or an address');

/** The configuration of an `nfs` backend. */
export const nfsConfig = z
  .strictObject({
    server: hostName.describe('Name or address of the server.'),
    export_path: z
      .string()
      .max(4096)
      .regex(/^\/[^\0]*$/, 'must be an absolute path on the server'),
    mount_options: z.string().max(1024).default('vers=4.1').describe('As of mount(8), separated by commas.'),
    mode: z
      .enum(['auto', 'kernel', 'direct'])
      .default('auto')
      .describe('The kernel mounts (needs root), or the hub speaks NFS itself.'),
    port: port.default(2049),
    local_port: port.optional().describe('The port to call from, for servers that want a privileged one.'),
  })
  .meta({ id: 'NfsConfig' });

/** The configuration of an `http` backend: any web server for reading, WebDAV for writing. */
export const httpConfig = z
  .strictObject({
    base_url: z.url({ protocol: /^https?$/, error: 'must be an http:// or https:// URL' }),
    auth_method: z.enum(['none', 'basic', 'bearer']).default('none'),
    username: z.string().max(1024).optional(),
    password: secret.optional().describe('The password, or the token of `bearer`. Never shown again.'),
    listing: z.enum(['auto', 'webdav', 'json', 'html', 'none']).default('auto'),
    writable: z.boolean().default(false).describe('Whether files are written, which needs WebDAV.'),
    allow_redirects_to: z
      .array(z.string().max(1024))
      .max(32)
      .optional()
      .describe('Other origins that reads may be redirected to.'),
  })
  .meta({ id: 'HttpConfig' });

/** The configuration of an `s3` backend. */
export const s3Config = z
  .strictObject({
    endpoint: z
      .url({ protocol: /^https?$/, error: 'must be an http:// or https:// URL' })
      .optional()
      .describe('Default: Amazon’s own, by region.'),
    bucket: z.string().min(1).max(255),
    region: z.string().min(1).max(64).default('us-east-1'),
    access_key_id: z.string().min(1).max(1024),
    secret_access_key: secret.describe('Never shown again.'),
    prefix: z
      .string()
      .max(512)
      .optional()
      .describe('A folder of the bucket that holds everything of this backend.'),
    path_style: z.boolean().optional(),
    cdn_enabled: z.boolean().default(false),
    cdn_url: z
      .url({ protocol: /^https?$/ })
      .optional()
      .describe('Where a CDN shows the bucket.'),
  })
  .meta({ id: 'S3Config' });

/** The configuration of an `iscsi` backend: a file system on a LUN. */
export const iscsiConfig = z
  .strictObject({
    target: z
      .string()
      .regex(/^(iqn|eui|naa)\.[\w.:-]{1,220}$/, 'must be an iSCSI name such as iqn.2026-01.example:disk'),
    portal: hostName.describe('Name or address of the server.'),
    port: port.default(3260),
    lun: z.int().min(0).max(16_383).default(0),
    chap_enabled: z.boolean().default(false),
    chap_username: z.string().max(255).optional(),
    chap_password: secret.optional().describe('Never shown again.'),
    filesystem: z.enum(['ext4', 'xfs']).default('ext4'),
    mode: z.enum(['auto', 'kernel', 'direct']).default('auto'),
    initiator_name: z.string().max(223).optional(),
  })
  .meta({ id: 'IscsiConfig' });

/** The kinds of backends that this version has. */
export const backendTypes = ['local', 'nfs', 'http', 's3', 'iscsi'] as const;
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

const isSet = z.boolean().describe('Whether the secret is set.');

/** A configured storage, without its secrets. One member a type. */
export const backend = z
  .discriminatedUnion('type', [
    z.object({ ...common, type: z.literal('local'), config: localConfig }),
    z.object({ ...common, type: z.literal('nfs'), config: z.object(nfsConfig.shape) }),
    z.object({
      ...common,
      type: z.literal('http'),
      config: httpConfig.omit({ password: true }).extend({ has_password: isSet }),
    }),
    z.object({
      ...common,
      type: z.literal('s3'),
      config: s3Config.omit({ secret_access_key: true }).extend({ has_secret_access_key: isSet }),
    }),
    z.object({
      ...common,
      type: z.literal('iscsi'),
      config: iscsiConfig.omit({ chap_password: true }).extend({ has_chap_password: isSet }),
    }),
  ])
  .meta({ id: 'Backend' });
export type Backend = z.output<typeof backend>;

/** A new backend. One member a type; unknown fields are refused by name. */
export const backendCreate = z
  .discriminatedUnion(
    'type',
    [
      z.strictObject({ name: displayName, type: z.literal('local'), config: localConfig }),
      z.strictObject({ name: displayName, type: z.literal('nfs'), config: nfsConfig }),
      z.strictObject({ name: displayName, type: z.literal('http'), config: httpConfig }),
      z.strictObject({ name: displayName, type: z.literal('s3'), config: s3Config }),
      z.strictObject({
        name: displayName,
        type: z.literal('iscsi'),
        config: iscsiConfig,
        format: z
          .boolean()
          .default(false)
          .describe(
            'Make a file system on the LUN, which must be blank: one with any signature is never formatted.',
          ),
      }),
    ],
    {
      error: (issue) =>
        issue.code === 'invalid_union' ? `must be one of: ${backendTypes.join(', ')}` : undefined,
    },
  )
  .meta({ id: 'BackendCreate' });
export type BackendCreate = z.output<typeof backendCreate>;

/** The configuration by type: what a stored configuration is once a PATCH is merged into it. */
export const backendConfigs = {
  local: localConfig,
  nfs: nfsConfig,
  http: httpConfig,
  s3: s3Config,
  iscsi: iscsiConfig,
} as const satisfies Record<BackendType, z.ZodType>;

export const backendPatch = z
  .strictObject({
    name: displayName.optional(),
    config: z
      .record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null(), z.array(z.string())]))
      .optional()
      .describe(
        'Merged into the configuration: what is left out is kept, secrets too; null clears a field. The type stays.',
      ),
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
