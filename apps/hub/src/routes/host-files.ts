import type { FastifyInstance } from 'fastify';
import { endpoints } from '@holdfast/contract/endpoints';
import { HoldfastError } from '@holdfast/contract/errors';
import { deletionFields } from '@holdfast/contract/host-files';
import type { HubContext } from '../context.ts';
import { answered, mount } from '../http/mount.ts';
import { attachment } from '../serving/headers.ts';

export function hostFileRoutes(app: FastifyInstance, { hostFiles, serving }: HubContext): void {
  mount(app, endpoints.listHostFiles, ({ query, principal }) => hostFiles.list(principal, query));

  mount(app, endpoints.listHosts, ({ query, principal }) => hostFiles.hosts(principal, query));

  mount(app, endpoints.getContent, ({ params, principal }) => hostFiles.content(params.sha256, principal));

  mount(app, endpoints.downloadContent, async ({ params, principal, request, reply }) => {
    await hostFiles.requireReadable(params.sha256, principal);
    await serving.serveContent(request, reply, {
      sha256: params.sha256,
      actor: principal.actor,
      cacheControl: 'private, max-age=31536000, immutable',
    });
    return answered;
  });

  mount(app, endpoints.downloadHostArchive, async ({ params, query, principal, signal, request, reply }) => {
    const { hostname } = params;
    const wanted = {
      hostname,
      format: query.format,
      at: query.at === undefined ? new Date() : new Date(query.at),
      pathPrefix: query.path_prefix ?? null,
    };
    await using archive = await hostFiles.archive(principal, wanted, signal);
    await serving.serveStream(request, reply, {
      actor: principal.actor,
      backendId: archive.backendId,
      path: archive.fileName,
      contentType: archive.contentType,
      disposition: attachment(archive.fileName),
      source: archive.source,
    });
    return answered;
  });

  mount(app, endpoints.deleteHostFile, async ({ params, query, body, principal }) => {
    const { sha256 } = params;
    const fields = deletionFields.parse({ ...query, ...body });
    const { deleted } = await hostFiles.markDeleted(principal, [{ sha256, ...fields }]);
    const [file] = deleted;
    if (file === undefined) {
      throw new HoldfastError(
        'host_file_not_found',
        `${fields.filepath} of ${fields.hostname} is not kept with the content ${sha256} as its current one, within the reach of this key.`,
      );
    }
    const { filepath, hostname, deletedAt } = file;
    return { sha256, filepath, hostname, status: 'deleted', deleted_at: deletedAt.toISOString() };
  });

  mount(app, endpoints.deleteHostFiles, async ({ body, principal }) => {
    const { deleted, notFound } = await hostFiles.markDeleted(principal, body.files);
    return {
      deleted: deleted.length,
      not_found: notFound.map(({ sha256, filepath, hostname }) => ({ sha256, filepath, hostname })),
    };
  });

  mount(app, endpoints.restoreHostFile, ({ params, principal }) =>
    hostFiles.restore(principal, params.file_id),
  );
}
