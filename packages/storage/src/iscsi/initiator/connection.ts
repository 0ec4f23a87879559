import { throwIfCancelled, unlessCancelled } from '@holdfast/bytes/cancellation';
import { HoldfastError } from '@holdfast/contract/errors';
import { lookup } from 'node:dns/promises';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { misconfigured } from './login-failure.ts';

export interface Portal {
  /** Name or address. */
  host: string;
  port: number;
}

export function portalText({ host, port }: Portal): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** `host:port`, `[v6]:port`, with or without `,group` behind (RFC 7143 §13.8); undefined when it is neither. */
export function parsePortal(address: string): Portal | undefined {
  const [, v6, plain, port = '3260'] =
    /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:,[\]]+))(?::(\d{1,5}))?(?:,\d{1,5})?$/.exec(address) ?? [];
  const host = v6 ?? plain;
  const number = Number(port);
  return host === undefined || number < 1 || number > 65_535 ? undefined : { host, port: number };
}

/**
 * The address of a portal's name.
 * @throws HoldfastError `backend_unavailable` that names `config.portal`, `cancelled`
 */
export async function resolvePortal(
  portal: Portal,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<string> {
  const doing = `Looking up ${portal.host}`;
  throwIfCancelled(signal, doing);
  // A name service that is gone holds a lookup for as long as it likes.
  const timedOut = Promise.withResolvers<never>();
  const timer = setTimeout(() => timedOut.reject(new Error('no answer')), timeoutMs);
  try {
    const look = (): Promise<{ address: string }> => Promise.race([lookup(portal.host), timedOut.promise]);
    return (await unlessCancelled(signal, doing, look)).address;
  } catch (error) {
    throwIfCancelled(signal, doing);
    const sentence = `The name ${portal.host} has no address. Check the field portal, and the name service of this machine.`;
    // Name services fail for moments too: that the field is at fault is likely, not certain.
    throw new HoldfastError('backend_unavailable', sentence, {
      errors: [{ field: 'config.portal', message: sentence }],
      cause: error,
    });
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Opens a TCP connection.
 * @param timeoutMs until the attempt is given up
 * @throws HoldfastError `backend_unavailable`, `cancelled`
 */
export async function openConnection(
  portal: Portal,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<Socket> {
  const doing = `Connecting to the iSCSI server ${portalText(portal)}`;
  throwIfCancelled(signal, doing);
  if (portal.host === '') throw misconfigured('config.portal', 'The field portal must not be empty.');
  const deadline = AbortSignal.timeout(Math.ceil(timeoutMs));
  const stop = signal === undefined ? deadline : AbortSignal.any([signal, deadline]);
  const socket = connect({ host: portal.host, port: portal.port, noDelay: true, keepAlive: true });
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
      stop.addEventListener('abort', () => reject(new Error('stopped')), { once: true });
    });
    return socket;
  } catch (error) {
    socket.on('error', () => {});
    socket.destroy();
    throwIfCancelled(signal, doing);
    const reason = deadline.aborted
      ? `no answer within ${timeoutMs / 1000} s`
      : error instanceof Error && 'code' in error
        ? String(error.code)
        : String(error);
    throw new HoldfastError(
      'backend_unavailable',
      `${doing} failed (${reason}). Check the fields portal and port, whether the server runs, and the firewall.`,
      { cause: error },
    );
  }
}
