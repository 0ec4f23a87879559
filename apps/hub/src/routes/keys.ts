import type { FastifyInstance } from 'fastify';
import { parseBackendPath } from '@holdfast/bytes/backend-path';
import type { ApiKey as KeyRow } from '@holdfast/catalog/keys';
import { endpoints } from '@holdfast/contract/endpoints';
import { HoldfastError } from '@holdfast/contract/errors';
import { scope, type ApiKey } from '@holdfast/contract/keys';
import { z } from 'zod';
import type { HubContext } from '../context.ts';
import { mount } from '../http/mount.ts';
import { success } from './views.ts';

export function keyRoutes(app: FastifyInstance, { access, backends, catalog }: HubContext): void {
  const found = async (id: string): Promise<KeyRow> => {
    const key = await catalog.keys.get(id);
    if (key !== null) return key;
    throw new HoldfastError('key_not_found', `There is no API key with the id ${id}.`);
  };

  mount(app, endpoints.listKeys, async () => {
    const keys = await catalog.keys.list();
    return { success: true, data: keys.map(keyView), total: keys.length };
  });
  mount(app, endpoints.createKey, async ({ body }) => {
    if (body.backend_id !== null && backends.find(body.backend_id) === undefined)
      throw refused('backend_id', 'does not exist');
    if (body.path_prefix !== null && body.backend_id === null)
      throw refused('backend_id', 'is required with path_prefix');
    const expiresAt = body.expires_at === null ? null : new Date(body.expires_at);
    if (expiresAt !== null && expiresAt <= new Date()) throw refused('expires_at', 'must lie in the future');
    const { key, token } = await access.issue({
      name: body.name,
      scopes: body.scopes,
      backendId: body.backend_id,
      pathPrefix: body.path_prefix === null ? null : parseBackendPath(body.path_prefix, 'path_prefix'),
      hostname: body.hostname,
      quotaBytes: body.quota_bytes,
      quotaFiles: body.quota_files,
      expiresAt,
    });
    return success({ ...keyView(key), token });
  });
  mount(app, endpoints.getOwnKey, async ({ principal }) =>
    success(keyView(await found(principal.keyId ?? ''))),
  );
  mount(app, endpoints.getKey, async ({ params }) => success(keyView(await found(params.id))));
  mount(app, endpoints.revokeKey, async ({ params }) => success(keyView(await access.revoke(params.id))));
}

function keyView(key: KeyRow): ApiKey {
  return {
    id: key.id,
    name: key.name,
    hint: key.hint,
    scopes: z.array(scope).parse(key.scopes),
    backend_id: key.backendId,
    path_prefix: key.pathPrefix,
    hostname: key.hostname,
    quota_bytes: key.quotaBytes,
    quota_files: key.quotaFiles,
    origin: key.origin,
    expires_at: key.expiresAt?.toISOString() ?? null,
    last_used_at: key.lastUsedAt?.toISOString() ?? null,
    revoked_at: key.revokedAt?.toISOString() ?? null,
    created_at: key.createdAt.toISOString(),
  };
}

function refused(field: string, message: string): HoldfastError {
  return new HoldfastError('validation_failed', `${field} ${message}.`, { errors: [{ field, message }] });
}
