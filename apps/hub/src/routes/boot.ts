import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { parseBackendPath, type BackendPath } from '@holdfast/bytes/backend-path';
import { endpoints } from '@holdfast/contract/endpoints';
import { HoldfastError, isHoldfastError } from '@holdfast/contract/errors';
import { requireReach } from '../access/principal.ts';
import type { HubContext } from '../context.ts';
import { answered, mount, mountRaw } from '../http/mount.ts';
import { serverUrl } from '../http/server-url.ts';
import { installedFirmware } from '../netboot/firmware.ts';

const FILES_PREFIX = '/api/v1/files/';

/** The files of the boot backend, and the generated scripts that boot loaders look for among them. */
export function bootFileRoutes(app: FastifyInstance, context: HubContext): void {
  const { config, metrics, netboot, serving, settings, transfers } = context;

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
    if (transfers.isBusy && request.headers['user-agent']?.startsWith('iPXE/') === true) {
      throw new HoldfastError('busy', 'Too many machines are booting; iPXE asks again by itself.');
    }
    try {
      await serving.serve(request, reply, {
        backendId,
        path,
        actor: principal.actor,
        cacheControl: 'no-cache',
        keepSmall: true,
      });
    } catch (error) {
      if (!isHoldfastError(error, 'file_not_found')) throw error;
      const ip = addressOf(request);
      const script = await netboot.generated(path, { ip, server: serverUrl(request, config), via: 'http' });
      if (script !== null) {
        sendText(request, reply, script);
        return;
      }
      const firmware = await installedFirmware(path);
      if (firmware === null) throw error;
      send(request, reply, 'application/octet-stream', firmware);
    }
  }
}

/** The scripts that machines boot by. */
export function bootScriptRoutes(app: FastifyInstance, { config, netboot, tftp }: HubContext): void {
  mount(app, endpoints.getDnsmasqConfig, async ({ query, request, reply }) => {
    const server = serverUrl(request, config);
    const host = new URL(server).hostname;
    const text = netboot.dnsmasqConfig({
      server,
      tftp: tftp.address === null ? null : { host, port: tftp.address.port },
      interface: query.interface,
      range: query.range,
    });
    return sendText(request, reply, text);
  });
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

function sendText(request: FastifyRequest, reply: FastifyReply, text: string): typeof answered {
  return send(request, reply, 'text/plain; charset=utf-8', Buffer.from(text));
}

/** A small answer as firmware wants it: Title-Case headers, an exact length, nothing to cache. */
function send(request: FastifyRequest, reply: FastifyReply, type: string, body: Buffer): typeof answered {
  reply.hijack();
  reply.raw.writeHead(200, [
    'Content-Type',
    type,
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
