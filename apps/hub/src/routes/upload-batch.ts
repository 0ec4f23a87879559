import type { FastifyInstance } from 'fastify';
import { endpoints } from '@holdfast/contract/endpoints';
import { HoldfastError } from '@holdfast/contract/errors';
import { batchMediaType } from '@holdfast/contract/uploads';
import type { HubContext } from '../context.ts';
import { readBody } from '../http/body.ts';
import { mount } from '../http/mount.ts';
import { Batches } from '../uploads/batch/batches.ts';

export function uploadBatchRoutes(app: FastifyInstance, { uploads, vault, hostFiles }: HubContext): void {
  const batches = new Batches({ vault, hostFiles });

  mount(app, endpoints.uploadBatch, async ({ principal, request, signal }) => {
    const mediaType = request.headers['content-type']?.split(';')[0]?.trim().toLowerCase();
    if (mediaType !== batchMediaType) {
      throw new HoldfastError(
        'unsupported_media_type',
        `Send the batch with Content-Type: ${batchMediaType}.`,
        {
          errors: [{ field: 'Content-Type', message: `must be ${batchMediaType}` }],
        },
      );
    }
    const backend = uploads.backendFor(principal, undefined);
    return { files: await batches.store(principal, backend, readBody(request.raw), signal) };
  });
}
