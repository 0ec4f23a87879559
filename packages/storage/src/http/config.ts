import { HoldfastError } from '@holdfast/contract/errors';

/** How folders are listed: `auto` tries WebDAV, then a JSON index, then an HTML index. */
export type ListingMode = 'auto' | 'webdav' | 'json' | 'html' | 'none';

/** The configuration of an `http` backend as the API has it, with its secret in the clear. */
export interface HttpConfig {
  /** `http:` or `https:`, without credentials, query or fragment. */
  base_url: string;
  /** Default `none`. */
  auth_method?: 'none' | 'basic' | 'bearer';
  username?: string;
  /** The password, or the token of `bearer`. */
  password?: string;
  /** Default `auto`. */
  listing?: ListingMode;
  /** Whether files are written, which needs WebDAV. Default false. */
  writable?: boolean;
  /** Other origins that the server may redirect reads to, like `https://mirror.example.org`. They get no credentials. */
  allow_redirects_to?: readonly string[];
}

/** A configuration that was checked and brought to one form. */
export interface HttpTarget {
  /** Ends with a slash. */
  baseUrl: URL;
  /** The value of the Authorization header. Secret. */
  authorization: string | undefined;
  listing: ListingMode;
  writable: boolean;
  redirectOrigins: ReadonlySet<string>;
}

function refuse(field: string, message: string): never {
  throw new HoldfastError('validation_failed', `The web server cannot be used as a backend: ${message}.`, {
    errors: [{ field: `config.${field}`, message }],
  });
}

/** Checks a configuration by itself. @throws HoldfastError `validation_failed` that names the field */
export function parseHttpConfig(config: HttpConfig): HttpTarget {
  const listing = config.listing ?? 'auto';
  const writable = config.writable ?? false;
  if (writable && listing !== 'auto' && listing !== 'webdav') {
    refuse(
      'listing',
      `writing needs WebDAV, so with writable the listing must be auto or webdav, not ${listing}`,
    );
  }
  return {
    baseUrl: parseBaseUrl(config.base_url),
    authorization: authorizationOf(config),
    listing,
    writable,
    redirectOrigins: new Set((config.allow_redirects_to ?? []).map(parseOrigin)),
  };
}

function parseHttpUrl(text: string, field: string): URL {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    return refuse(field, 'it must be an address like https://files.example.org/pub/');
  }
  return url;
}

function parseBaseUrl(text: string): URL {
  const url = parseHttpUrl(text, 'base_url');
  // The address shows in messages and on screens, so no secret may be in it.
  if (url.username !== '' || url.password !== '') {
    refuse('base_url', 'it must not contain credentials; put them into username and password');
  }
  if (url.search !== '' || url.hash !== '') refuse('base_url', 'it must not have a query or a fragment');
  if (!url.pathname.endsWith('/')) url.pathname += '/';
  return url;
}

function parseOrigin(text: string): string {
  const url = parseHttpUrl(text, 'allow_redirects_to');
  if (url.pathname !== '/' || url.search !== '' || url.username !== '' || url.password !== '') {
    refuse(
      'allow_redirects_to',
      'each one must be an origin like https://mirror.example.org, without a path',
    );
  }
  return url.origin;
}

function authorizationOf(config: HttpConfig): string | undefined {
  const { auth_method: method = 'none', username = '', password = '' } = config;
  if (method === 'none') return undefined;
  if (password === '') refuse('password', `${method} authentication needs one`);
  if (method === 'bearer') {
    // What a header can carry as one word; RFC 6750 §2.1 allows less, but tokens in use have more.
    if (!/^[\x21-\x7e]+$/.test(password))
      refuse('password', 'a bearer token has no spaces and only ASCII characters');
    return `Bearer ${password}`;
  }
  if (username === '') refuse('username', 'basic authentication needs one');
  // RFC 7617 §2: the first colon ends the user name.
  if (username.includes(':')) refuse('username', 'a user name of basic authentication has no colon');
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}
