import { z } from 'zod';
import { defineEndpoint, scopes } from './endpoint.ts';
import { success, wholeList } from './envelope.ts';
import { byteCount, count, displayName, id, idParams, pathText, time, timeInput } from './fields.ts';
import { hostname } from './host-names.ts';

const base = '/api/v1/keys';
const tag = 'API keys';

export const scope = z.enum(scopes);

/** What a key that is limited to a backend or a folder may hold; the other scopes reach past any limit. */
const limitedScopes: readonly string[] = ['files:read', 'files:write', 'backends:read'];

/** An API key, without its token. */
export const apiKey = z
  .object({
    id,
    name: z.string(),
    hint: z.string().describe('The last characters of the token.'),
    scopes: z.array(scope),
    backend_id: z.string().nullable().describe('The only backend that the key reaches; null: all.'),
    path_prefix: z.string().nullable().describe('The only folder that the key reaches; null: all.'),
    hostname: z
      .string()
      .nullable()
      .describe('The only machine whose host files the key reaches; null: see docs/access.md.'),
    quota_bytes: byteCount
      .nullable()
      .describe('Bytes of host files that the key may keep here; null: no limit.'),
    quota_files: count.nullable().describe('Host files that the key may keep here; null: no limit.'),
    origin: z
      .enum(['issued', 'environment', 'generated'])
      .describe('Made here, set by HOLDFAST_ADMIN_KEY, or made at the first start.'),
    expires_at: time.nullable(),
    last_used_at: time.nullable(),
    revoked_at: time.nullable(),
    created_at: time,
  })
  .meta({ id: 'ApiKey' });
export type ApiKey = z.output<typeof apiKey>;

/** A new key with its token, which is shown this once and kept only as a hash. */
export const apiKeyWithToken = apiKey
  .extend({ token: z.string().describe('Shown this once.') })
  .meta({ id: 'ApiKeyWithToken' });
export type ApiKeyWithToken = z.output<typeof apiKeyWithToken>;

export const apiKeyCreate = z
  .strictObject({
    name: displayName,
    scopes: z
      .array(scope)
      .min(1, 'must name at least one scope')
      .refine((list) => new Set(list).size === list.length, 'must not name a scope twice'),
    backend_id: id.nullable().default(null),
    path_prefix: pathText.nullable().default(null),
    hostname: hostname
      .nullable()
      .default(null)
      .describe('Limits uploads, and what is read of host files, to this machine.'),
    quota_bytes: byteCount.nullable().default(null),
    quota_files: count.nullable().default(null),
    expires_at: timeInput.nullable().default(null).describe('Must lie in the future. Default: never.'),
  })
  .superRefine((key, context) => {
    if (key.backend_id === null && key.path_prefix === null) return;
    const refused = key.scopes.filter((name) => !limitedScopes.includes(name));
    if (refused.length === 0) return;
    context.addIssue({
      code: 'custom',
      path: ['scopes'],
      message: `must not hold ${refused.join(', ')} when backend_id or path_prefix limits the key`,
    });
  })
  .meta({ id: 'ApiKeyCreate' });
export type ApiKeyCreate = z.output<typeof apiKeyCreate>;

export const keyEndpoints = {
  listKeys: defineEndpoint({
    method: 'GET',
    path: base,
    access: 'admin',
    tag,
    summary: 'List the API keys',
    description: 'All of them in one answer, revoked ones included.',
    response: wholeList(apiKey),
    status: [200],
  }),
  createKey: defineEndpoint({
    method: 'POST',
    path: base,
    access: 'admin',
    tag,
    summary: 'Issue an API key',
    description:
      'A backend that does not exist and a time that is past are refused with `validation_failed`. A key that is ' +
      'limited by `backend_id` or `path_prefix` can only hold `files:read`, `files:write` and `backends:read`.',
    body: apiKeyCreate,
    response: success(apiKeyWithToken),
    status: [201],
    errors: ['invalid_path', 'name_taken'],
  }),
  getOwnKey: defineEndpoint({
    method: 'GET',
    path: `${base}/self`,
    access: 'authenticated',
    tag,
    summary: 'Show the key of this request',
    response: success(apiKey),
    status: [200],
  }),
  getKey: defineEndpoint({
    method: 'GET',
    path: `${base}/{id}`,
    access: 'admin',
    tag,
    summary: 'Show an API key',
    params: idParams,
    response: success(apiKey),
    status: [200],
    errors: ['key_not_found'],
  }),
  revokeKey: defineEndpoint({
    method: 'DELETE',
    path: `${base}/{id}`,
    access: 'admin',
    tag,
    summary: 'Revoke an API key',
    description:
      'From now on it is no credential any more; it stays in the list. The last key with `admin`, and the one that ' +
      'HOLDFAST_ADMIN_KEY sets, are refused with `conflict`. Revoking again changes nothing.',
    params: idParams,
    response: success(apiKey),
    status: [200],
    errors: ['key_not_found', 'conflict'],
  }),
};
