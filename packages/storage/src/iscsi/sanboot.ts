import type { Portal } from './initiator/connection.ts';

/**
 * The address of a boot LUN as iPXE's `sanboot` takes it: `iscsi:<server>:<protocol>:<port>:<LUN>:<target>`
 * (RFC 4173 §5), the protocol left out for TCP, the LUN in hexadecimal.
 */
export function sanbootUri(portal: Portal, lun: number, target: string): string {
  const host = portal.host.includes(':') ? `[${portal.host}]` : portal.host;
  return `iscsi:${host}::${portal.port}:${lun.toString(16)}:${target}`;
}
