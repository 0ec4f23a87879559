import type { HostFileReach } from '@holdfast/catalog/host-files';
import { hasScope, type Principal } from '../access/access.ts';

/**
 * Which host files a caller sees, and so which contents: an administrator all; a key that is limited to a backend or a folder, or
 * that may not read, those that it sent itself; a key for a machine those of that machine; any other reader all. Knowing a
 * SHA-256 adds nothing.
 */
export function reachOf(principal: Principal): HostFileReach {
  if (hasScope(principal, 'admin')) return { kind: 'all' };
  const isLimited = principal.backendId !== null || principal.pathPrefix !== null;
  if (isLimited || !hasScope(principal, 'files:read')) return { kind: 'key', keyId: principal.keyId ?? '' };
  if (principal.hostname !== null) return { kind: 'hostname', hostname: principal.hostname };
  return { kind: 'all' };
}
