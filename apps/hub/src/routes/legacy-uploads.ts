import type { FastifyInstance, FastifyReply } from 'fastify';
import { endpoints } from '@holdfast/contract/endpoints';
import type { HubContext } from '../context.ts';
import { openUploadBody } from '../http/multipart.ts';
import { mount } from '../http/mount.ts';

/** Since when the older pair is deprecated: 2026-01-01T00:00:00Z, in seconds since 1970. */
const DEPRECATED_SINCE = 1_767_225_600;

export function legacyUploadRoutes(app: FastifyInstance, { uploads }: HubContext): void {
  mount(app, endpoints.putFile, async ({ body, principal, reply }) => {
    deprecate(reply);
    const { filepath, hostname, sha256, file_size: size, file_mtime: mtime, file_mode: mode } = body;
    const fileId = await uploads.announce(principal, {
      filepath,
      hostname,
      sha256,
      size,
      ...timeAndMode(mtime, mode),
    });
    if (fileId !== null)
      return { filepath, hostname, sha256, upload_required: false, upload_url: null, id: fileId };
    const query = new URLSearchParams({ hostname, filepath });
    if (mtime !== undefined) query.set('file_mtime', String(mtime));
    if (mode !== undefined) query.set('file_mode', String(mode));
    const url = `/api/upload_file/${sha256}?${query.toString()}`;
    return { filepath, hostname, sha256, upload_required: true, upload_url: url, id: null };
  });

  mount(app, endpoints.uploadLegacyFile, async ({ params, query, principal, request, reply, signal }) => {
    deprecate(reply);
    const { hostname, filepath } = query;
    const { source, length } = await openUploadBody(request.raw);
    const stored = await uploads.store(
      principal,
      {
        filepath,
        hostname,
        sha256: params.sha256,
        size: length ?? null,
        ...timeAndMode(query.file_mtime, query.file_mode),
      },
      source,
      { signal },
    );
    const { fileId: id, sha256, size } = stored;
    return { id, sha256, file_size: size, status: 'uploaded', hostname };
  });
}

/** Said on refusals too, so it is on the raw answer before anything can fail (RFC 9745 §2, RFC 5829 §3.2). */
function deprecate({ raw }: FastifyReply): void {
  raw.setHeader('Deprecation', `@${DEPRECATED_SINCE}`);
  raw.setHeader('Link', [
    '</docs#initiateUpload>; rel="deprecation"; type="text/html"',
    '</api/uploads/initiate>; rel="successor-version"',
  ]);
}

/** Older clients send seconds since 1970, and the mode with the bits of the file's type. */
function timeAndMode(
  seconds: number | undefined,
  mode: number | undefined,
): { mtime: Date | null; mode: number | null } {
  return {
    mtime: seconds === undefined ? null : new Date(Math.round(seconds * 1000)),
    mode: mode === undefined ? null : mode % 0o10000,
  };
}
