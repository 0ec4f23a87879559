import type { FastifyRequest } from 'fastify';
import type { HubConfig } from '../config/config.ts';

/**
 * The hub as the caller reaches it, without a trailing slash: the configured public URL, else the scheme of the
 * connection and the Host header (whoever uses it checks its form).
 */
export function serverUrl(request: FastifyRequest, config: Pick<HubConfig, 'publicUrl' | 'tls'>): string {
  if (config.publicUrl !== null) return config.publicUrl;
  const scheme = config.tls === null ? 'http' : 'https';
  const { localAddress, localPort } = request.socket;
  const fallback = localAddress?.includes(':') === true ? `[${localAddress}]` : localAddress;
  const { host } = request.headers;
  if (host === undefined) return `${scheme}://${fallback}:${localPort}`;
  // GRUB 2.06 leaves the port out of its Host header, whatever port it asks.
  const isGrub = request.headers['user-agent']?.startsWith('GRUB ') === true;
  return `${scheme}://${isGrub && !/:\d+$/.test(host) ? `${host}:${localPort}` : host}`;
}
