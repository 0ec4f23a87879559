import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { endpoints } from '@holdfast/contract/endpoints';
import { HoldfastError } from '@holdfast/contract/errors';
import { TUS_VERSION } from '@holdfast/contract/tus';
import { MAX_FILE_BYTES } from '@holdfast/contract/uploads';
import type { HubContext } from '../context.ts';
import { declaredLength, readBody } from '../http/body.ts';
import { Answer, mount } from '../http/mount.ts';
import { checksumAlgorithms, requireVersion } from '../uploads/tus/request-headers.ts';
import { TusFace, type TusBody } from '../uploads/tus/tus-face.ts';

const extensions = [
  'creation',
  'creation-with-upload',
  'creation-defer-length',
  'checksum',
  'concatenation',
  'expiration',
  'termination',
];

/** What browsers ask before they call (the Fetch standard's CORS protocol); kept for a day. */
const preflight = {
  'access-control-allow-methods': 'OPTIONS, HEAD, POST, PATCH, DELETE',
  'access-control-allow-headers':
    'Authorization, Content-Type, Tus-Resumable, Upload-Length, Upload-Defer-Length, Upload-Offset, Upload-Metadata, ' +
    'Upload-Checksum, Upload-Concat, X-HTTP-Method-Override, X-Request-Id, X-Requested-With',
  'access-control-max-age': '86400',
};

export function tusRoutes(app: FastifyInstance, { uploads }: HubContext): void {
  const tus = new TusFace(uploads);

  for (const endpoint of [endpoints.tusOptions, endpoints.tusUploadOptions]) {
    mount(app, endpoint, async ({ reply }) => {
      reply.headers({
        ...preflight,
        'tus-version': TUS_VERSION,
        'tus-extension': extensions.join(','),
        'tus-max-size': String(MAX_FILE_BYTES),
        'tus-checksum-algorithm': checksumAlgorithms.join(','),
      });
      return new Answer(200, '');
    });
  }

  mount(app, endpoints.tusCreate, async ({ request, reply, principal, signal }) => {
    greet(request, reply);
    const { headers } = await tus.create(principal, request.headers, bodyOf(request, signal));
    reply.headers(headers);
    return new Answer(201, '');
  });

  mount(app, endpoints.tusHead, async ({ params, request, reply, principal }) => {
    greet(request, reply);
    reply.headers((await tus.head(principal, params.upload_id)).headers);
    return new Answer(200, '');
  });

  mount(app, endpoints.tusPatch, async ({ params, request, reply, principal, signal }) => {
    greet(request, reply);
    const { headers } = await tus.patch(
      principal,
      params.upload_id,
      request.headers,
      bodyOf(request, signal),
    );
    reply.headers(headers);
    return new Answer(204, undefined);
  });

  mount(app, endpoints.tusDelete, async ({ params, request, reply, principal }) => {
    greet(request, reply);
    await tus.remove(principal, params.upload_id);
    return new Answer(204, undefined);
  });

  mount(app, endpoints.tusOverride, async ({ params, request, reply, principal, signal }) => {
    greet(request, reply);
    const method = request.headers['x-http-method-override'];
    if (method === 'DELETE') await tus.remove(principal, params.upload_id);
    else if (method === 'PATCH') {
      const { headers } = await tus.patch(
        principal,
        params.upload_id,
        request.headers,
        bodyOf(request, signal),
      );
      reply.headers(headers);
    } else {
      const message = 'must be PATCH or DELETE on a POST to an upload';
      throw new HoldfastError('invalid_request', `X-HTTP-Method-Override ${message}.`, {
        errors: [{ field: 'X-HTTP-Method-Override', message }],
      });
    }
    return new Answer(204, undefined);
  });
}

/** The version comes first: a client of another one must not have anything done for it. */
function greet(request: FastifyRequest, reply: FastifyReply): void {
  reply.raw.setHeader('Tus-Version', TUS_VERSION);
  requireVersion(request.headers);
  reply.raw.removeHeader('Tus-Version');
}

function bodyOf(request: FastifyRequest, signal: AbortSignal): TusBody {
  return { source: readBody(request.raw), length: declaredLength(request.raw), signal };
}
