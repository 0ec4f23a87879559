import { segmentProblem } from '@holdfast/bytes/backend-path';
import { HoldfastError } from '@holdfast/contract/errors';

/** The configuration of an `s3` backend, with its secrets in the clear. */
export interface S3Config {
  /** URL of the S3 service, `https://s3.example.org`. Empty: Amazon's own, by region. */
  endpoint?: string | null;
  bucket: string;
  /** Default `us-east-1`, which servers without regions accept. */
  region?: string | null;
  access_key_id: string;
  secret_access_key: string;
  /** A folder of the bucket that holds everything of this backend. */
  prefix?: string | null;
  /** `https://host/bucket/key` (true, default with an endpoint) or `https://bucket.host/key` (false). */
  path_style?: boolean | null;
  /** Read by way of `cdn_url`. */
  cdn_enabled?: boolean | null;
  /** Where a CDN shows the whole bucket: a key is read from `<cdn_url>/<key>`. */
  cdn_url?: string | null;
}

/** A configuration that was checked and brought to one form. */
export interface S3Place {
  /** Undefined: Amazon's own for the region. */
  endpoint: URL | undefined;
  bucket: string;
  region: string;
  accessKeyId: string;
  secretAccessKey: string;
  /** Empty, or with a slash at its end and none at its start. */
  prefix: string;
  pathStyle: boolean;
  /** Without a slash at its end. */
  cdnUrl: string | undefined;
}

/** The error for a field of the configuration that a person can mend. */
export function configProblem(field: keyof S3Config, message: string, cause?: unknown): HoldfastError {
  return new HoldfastError('validation_failed', `The bucket cannot be used as a backend: ${message}.`, {
    errors: [{ field: `config.${field}`, message }],
    cause,
  });
}

/** Longest prefix in bytes: a key has 1024 at most, and the rest must be of use. */
const maxPrefixBytes = 512;

function parseUrl(field: 'endpoint' | 'cdn_url', text: string, example: string): URL {
  // No cause: the text, which may hold a password by mistake, is not repeated.
  if (!URL.canParse(text)) throw configProblem(field, `it must be a URL, like ${example}`);
  const url = new URL(text);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw configProblem(field, 'it must begin with http:// or https://');
  }
  if (url.username !== '' || url.password !== '') {
    throw configProblem(field, 'it must hold no user or password');
  }
  if (url.search !== '' || url.hash !== '') throw configProblem(field, 'it must hold no "?" and no "#"');
  return url;
}

function parsePrefix(text: string): string {
  const segments = text.split('/').filter((segment) => segment !== '');
  for (const segment of segments) {
    const problem = segmentProblem(segment);
    if (problem !== undefined) throw configProblem('prefix', problem);
  }
  const prefix = segments.length === 0 ? '' : `${segments.join('/')}/`;
  if (Buffer.byteLength(prefix) > maxPrefixBytes) {
    throw configProblem('prefix', `it has at most ${maxPrefixBytes} bytes in UTF-8`);
  }
  return prefix;
}

function requireText(field: 'access_key_id' | 'secret_access_key', text: string): string {
  if (text === '') throw configProblem(field, 'it must not be empty');
  // What does not fit into a header would fail with every request, and far from its reason.
  if (!/^[\x21-\x7e]+$/.test(text))
    throw configProblem(field, 'it has a space or a character that no key has');
  return text;
}

/**
 * Checks the form of a configuration, without a look at the world.
 * @throws HoldfastError `validation_failed` with the field at fault
 */
export function parseS3Config(config: S3Config): S3Place {
  const endpointText = config.endpoint ?? '';
  const endpoint =
    endpointText === '' ? undefined : parseUrl('endpoint', endpointText, 'https://s3.example.org');
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]$/.test(config.bucket)) {
    const message = 'a bucket has a name of 3 to 63 letters, digits, dots and hyphens';
    throw configProblem('bucket', message);
  }
  const region = config.region ?? '';
  if (!/^[A-Za-z0-9-]*$/.test(region)) throw configProblem('region', 'it has letters, digits and hyphens');
  const cdnText = config.cdn_url ?? '';
  if (config.cdn_enabled === true && cdnText === '') {
    throw configProblem('cdn_url', 'reading by a CDN is on, so its URL is needed');
  }
  const cdnUrl = cdnText === '' ? undefined : parseUrl('cdn_url', cdnText, 'https://cdn.example.org');
  return {
    endpoint,
    bucket: config.bucket,
    region: region === '' ? 'us-east-1' : region,
    accessKeyId: requireText('access_key_id', config.access_key_id),
    secretAccessKey: requireText('secret_access_key', config.secret_access_key),
    prefix: parsePrefix(config.prefix ?? ''),
    pathStyle: config.path_style ?? endpoint !== undefined,
    cdnUrl: config.cdn_enabled === true ? cdnUrl?.href.replace(/\/+$/, '') : undefined,
  };
}

/** Host and port that requests go to, for checks below HTTP. */
export function addressOf(place: S3Place): { host: string; port: number; isSecure: boolean } {
  const { endpoint, bucket, region, pathStyle } = place;
  const url = endpoint ?? new URL(`https://s3.${region}.amazonaws.com`);
  const isSecure = url.protocol === 'https:';
  const host = pathStyle ? url.hostname : `${bucket}.${url.hostname}`;
  // An IPv6 address stands in brackets in a URL, and without them everywhere else.
  return {
    host: host.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? (isSecure ? 443 : 80) : Number(url.port),
    isSecure,
  };
}
