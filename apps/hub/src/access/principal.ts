import type { Scope } from '@holdfast/contract/endpoint';
import { HoldfastError } from '@holdfast/contract/errors';
import { isWithin, parseBackendPath, type BackendPath } from '@holdfast/bytes/backend-path';

/** Who makes a request, and how far they reach. */
export interface Principal {
  /** The key's id; null for an anonymous caller on a boot path. */
  keyId: string | null;
  /** For logs and the operation log. */
  actor: string;
  scopes: ReadonlySet<string>;
  /** When set, only this backend's files. */
  backendId: string | null;
  /** When set, only this folder of that backend and what is below it. */
  pathPrefix: BackendPath | null;
  /** When set, only this machine's host files. */
  hostname: string | null;
}

export const anonymous: Principal = {
  keyId: null,
  actor: 'anonymous',
  scopes: new Set(),
  backendId: null,
  pathPrefix: null,
  hostname: null,
};

export function hasScope(principal: Principal, scope: Scope): boolean {
  return principal.scopes.has(scope) || principal.scopes.has('admin');
}

/** Whether the principal may touch files of the backend at all. */
export function reachesBackend(principal: Principal, backendId: string): boolean {
  return principal.backendId === null || principal.backendId === backendId;
}

/** Whether the principal may touch this path (and, for a folder, all below it). */
export function reaches(principal: Principal, backendId: string, path: string): boolean {
  if (!reachesBackend(principal, backendId)) return false;
  return principal.pathPrefix === null || isWithin(parseBackendPath(path), principal.pathPrefix);
}

/** @throws HoldfastError `forbidden`, without telling whether the path exists */
export function requireReach(principal: Principal, backendId: string, path: string): void {
  if (reaches(principal, backendId, path)) return;
  const limit = principal.pathPrefix === null ? 'another backend' : `${principal.pathPrefix} of its backend`;
  throw new HoldfastError(
    'forbidden',
    `The API key "${principal.actor}" is limited to ${limit}; ${path} is outside.`,
  );
}

/** @throws HoldfastError `forbidden` */
export function requireReachOfBackend(principal: Principal, backendId: string): void {
  if (reachesBackend(principal, backendId)) return;
  throw new HoldfastError('forbidden', `The API key "${principal.actor}" is limited to another backend.`);
}
