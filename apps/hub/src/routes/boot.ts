import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { parseBackendPath, type BackendPath } from '@holdfast/bytes/backend-path';
import { endpoints } from '@holdfast/contract/endpoints';
import { HoldfastError, isHoldfastError } from '@holdfast/contract/errors';
import { macInput } from '@holdfast/contract/mac';
import { requireReach } from '../access/principal.ts';
import type { HubContext } from '../context.ts';
import { answered, mount, mountRaw } from '../http/mount.ts';
import { serverUrl } from '../http/server-url.ts';

const FILES_PREFIX = '/api/v1/files/';

/** The files of the boot backend, and the generated scripts that boot loaders look for among them. */
export function bootFileRoutes(app: FastifyInstance, context: HubContext): void {
  const { config, metrics, netboot, serving, settings } = context;

  mountRaw(app, endpoints.getBootFile, async (request, reply) => {
    const countAnswer = (): void =>
      metrics.countRequest(request.method, endpoints.getBootFile.path, reply.raw.statusCode);
    reply.raw.once('finish', countAnswer);
    await serveFile(request, reply, settings.current.default_boot_backend_id);
  });

  async function serveFile(
    request: FastifyRequest,
    reply: FastifyReply,
    backendId: string | null,
  ): Promise<void> {
    const { principal } = request;
    const path = pathOf(request.raw.url ?? '');
    if (backendId === null) {
      throw new HoldfastError(
        'no_boot_backend',
        'No boot backend is set: set default_boot_backend_id by PATCH /api/v1/system/settings.',
      );
    }
    if (principal.keyId !== null) requireReach(principal, backendId, path);
    try {
      await serving.serve(request, reply, {
        backendId,
        path,
        actor: principal.actor,
        cacheControl: 'no-cache',
        keepSmall: true,
      });
    } catch (error) {
      const script = isHoldfastError(error, 'file_not_found') ? await generated(path, request) : null;
      if (script === null) throw error;
      sendText(request, reply, script);
    }
  }

  /** Names under which boot loaders look for their scripts, where the boot backend has no such file. */
  async function generated(path: BackendPath, request: FastifyRequest): Promise<string | null> {
    const server = serverUrl(request, config);
    if (path === '/autoexec.ipxe') return netboot.firstScript(server);
    const grub = /^\/(?:grub\/)?grub\.cfg(?:-(?:01-)?(.+))?$/.exec(path);
    if (grub === null) return null;
    if (grub[1] === undefined) return netboot.grubConfig(null, server);
    const mac = macInput.safeParse(grub[1]);
    return mac.success ? netboot.grubConfig({ mac: mac.data, ip: addressOf(request) }, server) : null;
  }
}

/** The scripts that machines boot by. */
export function bootScriptRoutes(app: FastifyInstance, { config, netboot }: HubContext): void {
  mount(app, endpoints.getFirstScript, async ({ request, reply }) => {
    return sendText(request, reply, netboot.firstScript(serverUrl(request, config)));
  });
  mount(app, endpoints.getBootScript, async ({ query, request, reply }) => {
    const sighting = { ...query, ip: addressOf(request) };
    return sendText(request, reply, await netboot.script(sighting, serverUrl(request, config)));
  });
  mount(app, endpoints.getBootStatus, async ({ query, request, reply }) => {
    return sendText(request, reply, await netboot.statusScript(query.mac, serverUrl(request, config)));
  });
  mount(app, endpoints.getGrubConfig, async ({ query, request, reply }) => {
    const sighting = query.mac === undefined ? null : { mac: query.mac, ip: addressOf(request) };
    return sendText(request, reply, await netboot.grubConfig(sighting, serverUrl(request, config)));
  });
}

/** The path as it was sent, decoded once: the router would already have joined or refused what firmware sends. */
function pathOf(url: string): BackendPath {
  const start = url.indexOf(FILES_PREFIX) + FILES_PREFIX.length;
  const end = url.indexOf('?', start);
  const raw = url.slice(start, end === -1 ? undefined : end);
  let decoded: string;
  try {
    decoded = decodeURIComponent(raw);
  } catch (error) {
    throw new HoldfastError('invalid_path', 'The path holds a "%" that begins no valid UTF-8 escape.', {
      cause: error,
      errors: [{ field: 'path', message: 'is not valid percent-encoding' }],
    });
  }
  return parseBackendPath(decoded);
}

/** A script as firmware wants it: Title-Case headers, an exact length, nothing to cache. */
function sendText(request: FastifyRequest, reply: FastifyReply, text: string): typeof answered {
  const body = Buffer.from(text);
  reply.hijack();
  reply.raw.writeHead(200, [
    'Content-Type',
    'text/plain; charset=utf-8',
    'Content-Length',
    String(body.byteLength),
    'Cache-Control',
    'no-store',
    'X-Request-Id',
    request.id,
  ]);
  reply.raw.end(request.method === 'HEAD' ? undefined : body);
  return answered;
}

function addressOf(request: FastifyRequest): string {
  return (request.socket.remoteAddress ?? '').replace(/^::ffff:/, '');
}
