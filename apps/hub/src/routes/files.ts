import type { FastifyInstance } from 'fastify';
import { nameOf, parseBackendPath } from '@holdfast/bytes/backend-path';
import { parseEntityTags } from '@holdfast/bytes/conditional';
import { expectedSha256 } from '@holdfast/bytes/digest-fields';
import { endpoints } from '@holdfast/contract/endpoints';
import { HoldfastError, isHoldfastError } from '@holdfast/contract/errors';
import { reaches, requireReach } from '../access/principal.ts';
import type { HubContext } from '../context.ts';
import { openUploadBody } from '../http/multipart.ts';
import { Answer, answered, mount } from '../http/mount.ts';
import { attachment } from '../serving/headers.ts';
import { operationView, storageFileView, success } from './views.ts';

export function fileRoutes(
  app: FastifyInstance,
  { library, serving, verification, backfill, backends }: HubContext,
): void {
  mount(app, endpoints.findFiles, async ({ query, principal }) => {
    const { rows, nextCursor } = await library.find(query.sha256, {
      limit: query.limit,
      cursor: query.cursor,
      backendId: principal.backendId,
      folder: principal.pathPrefix,
    });
    const found = rows.map(({ backendId, path, size, computedAt }) => ({
      backend_id: backendId,
      backend_name: backends.find(backendId)?.row.name ?? null,
      path,
      size,
      computed_at: computedAt.toISOString(),
    }));
    return { ...success(found), ...(nextCursor === undefined ? {} : { next_cursor: nextCursor }) };
  });

  mount(app, endpoints.listFiles, async ({ params, query, principal, signal }) => {
    const path = parseBackendPath(query.path);
    requireReach(principal, params.id, path);
    const { recursive, limit, cursor } = query;
    const listed = await library.list(params.id, path, { recursive, limit, cursor, signal });
    return success({
      path,
      files: listed.entries.map(storageFileView),
      total: listed.total ?? null,
      ...(listed.nextCursor === undefined ? {} : { next_cursor: listed.nextCursor }),
    });
  });

  mount(app, endpoints.uploadFile, async ({ params, query, principal, request, signal }) => {
    const path = parseBackendPath(query.path);
    requireReach(principal, params.id, path);
    backends.get(params.id);
    const { headers } = request.raw;
    const expected = expectedSha256(headers);
    const conditions = writeConditions(headers['if-none-match'], headers['if-match']);
    const body = await openUploadBody(request.raw);
    const { stored, replaced } = await library.store(params.id, path, body.source, {
      actor: principal.actor,
      expectedSha256: expected,
      expectedSize: body.length,
      ...conditions,
      signal,
    });
    return new Answer(replaced ? 200 : 201, success(storageFileView(stored)));
  });

  mount(app, endpoints.downloadFile, async ({ params, query, principal, request, reply }) => {
    const path = parseBackendPath(query.path);
    requireReach(principal, params.id, path);
    await serving.serve(request, reply, {
      backendId: params.id,
      path,
      actor: principal.actor,
      cacheControl: 'private, no-cache',
      disposition: attachment(nameOf(path)),
    });
    return answered;
  });

  mount(app, endpoints.deleteFile, async ({ params, query, principal }) => {
    const path = parseBackendPath(query.path);
    requireReach(principal, params.id, path);
    const deleted = await library.remove(params.id, path, {
      recursive: query.recursive,
      actor: principal.actor,
    });
    return success({ deleted });
  });

  mount(app, endpoints.deleteFiles, async ({ params, body, principal }) => {
    backends.get(params.id);
    let deleted = 0;
    const failed: { path: string; code: string; detail: string }[] = [];
    for (const given of body.paths) {
      try {
        const path = parseBackendPath(given, 'paths');
        if (!reaches(principal, params.id, path)) requireReach(principal, params.id, path);
        deleted += await library.remove(params.id, path, { recursive: false, actor: principal.actor });
      } catch (error) {
        if (!isHoldfastError(error)) throw error;
        failed.push({ path: given, code: error.code, detail: error.message });
      }
    }
    return success({ deleted, failed });
  });

  mount(app, endpoints.moveFile, async ({ params, body, principal }) => {
    const [from, to] = bothPaths(body.source_path, body.destination_path);
    requireReach(principal, params.id, from);
    requireReach(principal, params.id, to);
    const moved = await library.move(params.id, from, to, {
      overwrite: body.overwrite,
      actor: principal.actor,
    });
    return success(storageFileView(moved));
  });

  mount(app, endpoints.copyFile, async ({ params, body, principal, signal }) => {
    const [from, to] = bothPaths(body.source_path, body.destination_path);
    requireReach(principal, params.id, from);
    requireReach(principal, params.id, to);
    const copied = await library.copy(params.id, from, to, {
      overwrite: body.overwrite,
      actor: principal.actor,
      signal,
    });
    return success(storageFileView(copied));
  });

  mount(app, endpoints.verifyFiles, async ({ params, body, principal }) => {
    const path = parseBackendPath(body.path);
    requireReach(principal, params.id, path);
    const row = await verification.start(params.id, path, {
      recursive: body.recursive,
      actor: principal.actor,
    });
    return success(operationView(row));
  });

  mount(app, endpoints.createFolder, async ({ params, body, principal }) => {
    const path = parseBackendPath(body.path);
    requireReach(principal, params.id, path);
    return success(storageFileView(await library.makeFolder(params.id, path, principal.actor)));
  });

  mount(app, endpoints.backfillChecksums, async ({ body, principal }) => {
    if (principal.backendId !== null && body.backend_id === undefined) {
      throw new HoldfastError('forbidden', 'This API key is limited to one backend: name it as backend_id.');
    }
    if (body.backend_id !== undefined) requireReach(principal, body.backend_id, '/');
    const row = await backfill.start(
      {
        backendId: body.backend_id,
        batchSize: body.batch_size,
        dryRun: body.dry_run,
        rateLimitMbps: body.rate_limit_mbps,
      },
      principal.actor,
    );
    return success(operationView(row));
  });
}

function bothPaths(
  source: string,
  destination: string,
): [ReturnType<typeof parseBackendPath>, ReturnType<typeof parseBackendPath>] {
  return [parseBackendPath(source, 'source_path'), parseBackendPath(destination, 'destination_path')];
}

/** If-None-Match: * and If-Match of a write (RFC 9110 §13.1). */
function writeConditions(
  ifNoneMatch: string | undefined,
  ifMatch: string | undefined,
): { ifAbsent: boolean; ifMatch?: 'any' | string[] } {
  if (ifNoneMatch !== undefined && ifNoneMatch.trim() !== '*') {
    throw refusedHeader('If-None-Match', 'only "*" has a meaning on an upload');
  }
  const ifAbsent = ifNoneMatch !== undefined;
  if (ifMatch === undefined) return { ifAbsent };
  const tags = parseEntityTags(ifMatch);
  if (tags === undefined) throw refusedHeader('If-Match', 'must be * or a list of ETags');
  if (tags === '*') return { ifAbsent, ifMatch: 'any' };
  const hashes = tags
    .filter((tag) => !tag.weak)
    .map((tag) => /^"sha256:([0-9a-f]{64})"$/.exec(tag.opaque)?.[1] ?? '');
  return { ifAbsent, ifMatch: hashes };
}

function refusedHeader(field: string, message: string): HoldfastError {
  return new HoldfastError('invalid_request', `${field}: ${message}.`, { errors: [{ field, message }] });
}
