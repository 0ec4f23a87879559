import { createHash, randomBytes } from 'node:crypto';
import { scopes as allScopes, type Access as EndpointAccess, type Scope } from '@holdfast/contract/endpoint';
import { HoldfastError } from '@holdfast/contract/errors';
import { parseBackendPath } from '@holdfast/bytes/backend-path';
import type { Catalog } from '@holdfast/catalog/catalog';
import type { ApiKey } from '@holdfast/catalog/keys';
import { NetworkMatcher } from './networks.ts';
import { anonymous, hasScope, requireReach, requireReachOfBackend, type Principal } from './principal.ts';

export { anonymous, hasScope, requireReach, requireReachOfBackend, type Principal };

/** How often `last_used_at` of a busy key is written. */
const TOUCH_INTERVAL_MS = 60_000;
/** Characters of a token shown in lists, to tell keys apart. */
const HINT_LENGTH = 4;

/** Actors that are no issued keys. */
const RESERVED_NAMES: ReadonlySet<string> = new Set(['anonymous', 'administrator', 'environment']);

export interface IssueKey {
  name: string;
  scopes: Scope[];
  backendId: string | null;
  pathPrefix: string | null;
  hostname: string | null;
  /** Bytes, and versions, of host files that the key may keep; null: no limit. */
  quotaBytes: number | null;
  quotaFiles: number | null;
  expiresAt: Date | null;
}

/** Who may call what: API keys by their hash, and anonymous callers on boot paths by their network. */
export class Access {
  readonly #catalog: Catalog;
  readonly #now: () => Date;
  readonly #touched = new Map<string, number>();
  #networks = new NetworkMatcher([]);
  /** The key that the environment sets now; one that it set before is a key like any other. */
  #environmentKeyId: string | null = null;
  /** Revocations go one after the other, so that two administrators cannot each be the other's last. */
  #revoking: Promise<unknown> = Promise.resolve();
  readonly #revokedListeners = new Set<(keyId: string) => void>();

  constructor(options: { catalog: Catalog; now?: () => Date }) {
    this.#catalog = options.catalog;
    this.#now = options.now ?? (() => new Date());
  }

  /** The networks whose machines may read boot paths without a key. */
  setAnonymousNetworks(cidrs: readonly string[]): void {
    this.#networks = new NetworkMatcher(cidrs);
  }

  /**
   * Makes sure that an administrator exists. A given key becomes the environment's administrator;
   * otherwise, at the first start, one is generated.
   * @returns the generated token, to be shown once; null when nothing was generated
   */
  async ensureAdministrator(givenKey: string | null): Promise<string | null> {
    if (givenKey !== null) {
      const key = await this.#catalog.keys.setEnvironmentAdmin(
        hashToken(givenKey),
        givenKey.slice(-HINT_LENGTH),
      );
      this.#environmentKeyId = key.id;
      return null;
    }
    if ((await this.#catalog.keys.countAdmins(this.#now())) > 0) return null;
    const token = newToken();
    await this.#catalog.keys.insert({
      name: 'administrator',
      hash: hashToken(token),
      hint: token.slice(-HINT_LENGTH),
      scopes: ['admin'],
      backendId: null,
      pathPrefix: null,
      origin: 'generated',
      expiresAt: null,
    });
    return token;
  }

  /** Issues a key; its token is returned here and never again. */
  async issue(request: IssueKey): Promise<{ key: ApiKey; token: string }> {
    await this.#requireFreeName(request.name);
    const token = newToken();
    const key = await this.#catalog.keys.insert({
      ...request,
      hash: hashToken(token),
      hint: token.slice(-HINT_LENGTH),
      origin: 'issued',
    });
    return { key, token };
  }

  /** Calls `listener` with the id of each key that is revoked here. @returns a function that ends it */
  onRevoked(listener: (keyId: string) => void): () => void {
    this.#revokedListeners.add(listener);
    return () => this.#revokedListeners.delete(listener);
  }

  /** Whether a key is still a credential: not revoked, not expired, not gone with its backend. */
  async isLive(keyId: string): Promise<boolean> {
    const key = await this.#catalog.keys.get(keyId);
    return key !== null && key.revokedAt === null && !isExpired(key, this.#now());
  }

  /** Names are who did what in the operation log, so none is given twice, not even that of a revoked key. */
  async #requireFreeName(name: string): Promise<void> {
    const isTaken =
      RESERVED_NAMES.has(name) || (await this.#catalog.keys.list()).some((key) => key.name === name);
    if (!isTaken) return;
    throw new HoldfastError('name_taken', `There is already an API key named "${name}", or was one.`, {
      errors: [{ field: 'name', message: 'is taken' }],
    });
  }

  /** @throws HoldfastError `key_not_found`; `conflict` for the last administrator and for the environment's */
  async revoke(id: string): Promise<ApiKey> {
    const revoked = this.#revoking.then(() => this.#revoke(id));
    this.#revoking = revoked.catch(() => undefined); // told to its own caller
    return revoked;
  }

  async #revoke(id: string): Promise<ApiKey> {
    const now = this.#now();
    const key = await this.#catalog.keys.get(id);
    if (key === null) throw new HoldfastError('key_not_found', `There is no API key with the id ${id}.`);
    if (id === this.#environmentKeyId && key.revokedAt === null) {
      throw new HoldfastError(
        'conflict',
        'This key is set by HOLDFAST_ADMIN_KEY. Change or remove that variable and start the hub again.',
      );
    }
    const isLiveAdmin = key.scopes.includes('admin') && key.revokedAt === null && !isExpired(key, now);
    if (isLiveAdmin && (await this.#catalog.keys.countAdmins(now)) <= 1) {
      throw new HoldfastError(
        'conflict',
        'This is the last administrator key. Create another one with the scope admin first.',
      );
    }
    const revoked = (await this.#catalog.keys.revoke(id, now)) ?? key;
    for (const listener of this.#revokedListeners) listener(id);
    return revoked;
  }

  /**
   * The caller behind a request, if the endpoint lets them in.
   * @throws HoldfastError `unauthenticated` or `forbidden`
   */
  async admit(
    access: EndpointAccess,
    authorization: string | undefined,
    address: string,
  ): Promise<Principal> {
    const known = this.admitAnonymous(access, authorization, address);
    if (known !== null) return known;
    if (authorization === undefined) {
      const why =
        access === 'boot'
          ? `Machines at ${address} may not boot without a key: add their network to the setting anonymous_boot_networks, or send one.`
          : 'Send an API key as "Authorization: Bearer <key>".';
      throw new HoldfastError('unauthenticated', why);
    }
    const principal = await this.authenticate(authorization);
    if (!allows(access, principal)) {
      const needed = access === 'boot' ? 'boot:read or files:read' : access;
      throw new HoldfastError('forbidden', `The API key "${principal.actor}" lacks the scope ${needed}.`);
    }
    return principal;
  }

  /** The synchronous part of `admit`, for callers without a credential where none is needed; null: ask `admit`. */
  admitAnonymous(
    access: EndpointAccess,
    authorization: string | undefined,
    address: string,
  ): Principal | null {
    if (access === 'anonymous') return anonymous;
    if (access === 'boot' && authorization === undefined && this.#networks.matches(address)) return anonymous;
    return null;
  }

  /** @throws HoldfastError `unauthenticated` */
  async authenticate(authorization: string): Promise<Principal> {
    const token = /^Bearer +([^\s]+)$/i.exec(authorization)?.[1];
    if (token === undefined) {
      throw new HoldfastError('unauthenticated', 'The Authorization header must read "Bearer <api key>".');
    }
    const key = await this.#catalog.keys.getByHash(hashToken(token));
    const now = this.#now();
    if (key === null || key.revokedAt !== null) {
      throw new HoldfastError('unauthenticated', 'The API key is not known here, or was revoked.');
    }
    if (isExpired(key, now)) {
      throw new HoldfastError('unauthenticated', `The API key "${key.name}" has expired.`);
    }
    await this.#touch(key, now);
    return toPrincipal(key);
  }

  async #touch(key: ApiKey, now: Date): Promise<void> {
    const last = this.#touched.get(key.id) ?? 0;
    if (now.getTime() - last < TOUCH_INTERVAL_MS) return;
    this.#touched.set(key.id, now.getTime());
    await this.#catalog.keys.touch(key.id, now);
  }
}

function isExpired(key: ApiKey, now: Date): boolean {
  return key.expiresAt !== null && key.expiresAt <= now;
}

function allows(access: EndpointAccess, principal: Principal): boolean {
  switch (access) {
    case 'anonymous':
    case 'authenticated':
      return true;
    case 'boot':
      return hasScope(principal, 'boot:read') || hasScope(principal, 'files:read');
    default:
      return hasScope(principal, access);
  }
}

function toPrincipal(key: ApiKey): Principal {
  return {
    keyId: key.id,
    actor: key.name,
    scopes: new Set(key.scopes.filter((scope) => (allScopes as readonly string[]).includes(scope))),
    backendId: key.backendId,
    pathPrefix: key.pathPrefix === null ? null : parseBackendPath(key.pathPrefix),
    hostname: key.hostname,
  };
}

/** 256 random bits: nothing that a slow password hash could add to. */
function newToken(): string {
  return `hf_${randomBytes(32).toString('base64url')}`;
}

function hashToken(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}
