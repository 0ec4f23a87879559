import type { FastifyInstance } from 'fastify';
import { parseBackendPath } from '@holdfast/bytes/backend-path';
import { expectedSha256 } from '@holdfast/bytes/digest-fields';
import { endpoints } from '@holdfast/contract/endpoints';
import { HoldfastError } from '@holdfast/contract/errors';
import {
  MAX_BATCH_BYTES,
  MAX_BATCH_FILE_BYTES,
  MAX_BATCH_FILES,
  MAX_CHUNKS,
  MAX_FILE_BYTES,
  type UploadCompleted,
  type UploadInitiate,
  type UploadLimits,
} from '@holdfast/contract/uploads';
import type { HubContext } from '../context.ts';
import type { UploadSpec } from '../uploads/uploads.ts';
import { declaredLength, readBody } from '../http/body.ts';
import { Answer, mount } from '../http/mount.ts';
import { chunkView, startedView, uploadView } from './upload-views.ts';

/** The body of `complete` may name every part of the largest upload, in bytes. */
const MAX_COMPLETE_BYTES = 16 * 1024 * 1024;
/** Chunks that one client sends side by side with profit. */
const PREFERRED_PARALLEL = 4;

export function uploadRoutes(
  app: FastifyInstance,
  { uploads, hostFiles, vault, backends }: HubContext,
): void {
  mount(app, endpoints.listUploads, async ({ query, principal }) => {
    const { rows, total, nextCursor } = await uploads.list(principal, query);
    const next = nextCursor === undefined ? {} : { next_cursor: nextCursor };
    return { uploads: rows.map(uploadView), total, ...next };
  });

  mount(app, endpoints.getUploadLimits, async ({ query, principal }) => {
    const { id, contents } = uploads.backendFor(principal, query.backend_id);
    const { minimum, preferred, maximum, maxChunks } = contents.staging.advice;
    const max_chunks = Math.min(MAX_CHUNKS, maxChunks);
    const limits: UploadLimits = {
      backend_id: id,
      preferred_chunk_size: preferred,
      min_chunk_size: minimum,
      max_chunk_size: Math.min(maximum, MAX_FILE_BYTES),
      preferred_parallel_chunks: PREFERRED_PARALLEL,
      max_chunks,
      max_file_size: Math.min(MAX_FILE_BYTES, max_chunks * maximum),
      batch: {
        max_files: MAX_BATCH_FILES,
        max_bytes: MAX_BATCH_BYTES,
        max_file_bytes: MAX_BATCH_FILE_BYTES,
      },
    };
    return limits;
  });

  mount(app, endpoints.initiateUpload, async ({ body, principal }) => {
    const begun = await uploads.begin(principal, {
      protocol: 'chunks',
      ...endOf(body),
      sha256: body.sha256 ?? null,
      size: body.file_size,
      chunkSize: body.chunk_size,
      mtime: typeof body.mtime === 'string' ? new Date(body.mtime) : null,
      mode: body.mode ?? null,
      backendId: body.backend_id,
    });
    if (begun.kind === 'session') return startedView(begun.session);
    return new Answer(200, { deduplicated: true, file_id: begun.fileId, sha256: begun.sha256 });
  });

  mount(app, endpoints.getUpload, async ({ params, principal }) =>
    uploadView(await uploads.state(principal, params.upload_id)),
  );

  mount(app, endpoints.putChunk, async ({ params, principal, request, signal }) => {
    const length = declaredLength(request.raw);
    if (length === undefined) {
      const message = 'is required: the exact size of the chunk, in bytes';
      throw new HoldfastError('length_required', `Content-Length ${message}.`, {
        errors: [{ field: 'Content-Length', message }],
      });
    }
    const taken = await uploads.putChunk(
      principal,
      params.upload_id,
      params.chunk_num,
      readBody(request.raw),
      {
        length,
        expectedSha256: expectedSha256(request.headers),
        signal,
      },
    );
    return chunkView(taken);
  });

  mount(
    app,
    endpoints.completeUpload,
    async ({ params, body, principal }) => {
      const finished = await uploads.complete(principal, params.upload_id, body);
      const completed: UploadCompleted = {
        file_id: finished.fileId,
        ...(finished.path === null ? {} : { path: finished.path }),
        sha256: finished.sha256,
        file_size: finished.size,
        status: 'completed',
        deduplicated: finished.deduplicated,
        storage_location: {
          backend_id: finished.backendId,
          backend_name: backends.find(finished.backendId)?.row.name ?? null,
        },
      };
      return completed;
    },
    { maxJsonBytes: MAX_COMPLETE_BYTES },
  );

  mount(app, endpoints.abortUpload, async ({ params, principal }) => {
    const { chunksUploaded, chunksDeleted } = await uploads.abort(principal, params.upload_id);
    return {
      upload_id: params.upload_id,
      status: 'aborted',
      chunks_uploaded: chunksUploaded,
      chunks_deleted: chunksDeleted,
    };
  });

  mount(app, endpoints.checkContents, async ({ body, principal }) => {
    const known = await hostFiles.readable(body.sha256, principal);
    const damaged = await vault.damagedOf([...known]);
    return { known: [...new Set(body.sha256)].filter((sha256) => known.has(sha256) && !damaged.has(sha256)) };
  });
}

/** Where an upload ends: as a host file, or at a path of its backend. */
function endOf(body: UploadInitiate): Pick<UploadSpec, 'filepath' | 'hostname' | 'destination'> {
  if (body.destination_path === undefined)
    return { filepath: body.filepath ?? '', hostname: body.hostname ?? '' };
  const path = parseBackendPath(body.destination_path, 'destination_path');
  // The catalog lists it under its path, and under no machine.
  return { filepath: path, hostname: '', destination: { path, overwrite: body.overwrite ?? false } };
}
