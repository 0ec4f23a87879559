import type { IncomingHttpHeaders } from 'node:http';
import { HoldfastError } from '@holdfast/contract/errors';
import { TUS_VERSION, tusMediaType } from '@holdfast/contract/tus';
import { MAX_FILE_BYTES } from '@holdfast/contract/uploads';

/** The checksum algorithms of the checksum extension that are spoken here. */
export const checksumAlgorithms = ['sha1', 'sha256'] as const;
type ChecksumAlgorithm = (typeof checksumAlgorithms)[number];

const digestBytes: Record<ChecksumAlgorithm, number> = { sha1: 20, sha256: 32 };

/** What `Upload-Concat` says. */
export type ConcatHeader = { kind: 'partial' } | { kind: 'final'; uploadIds: string[] };

/** @throws HoldfastError `unsupported_protocol_version` unless the client speaks tus 1.0.0 */
export function requireVersion(headers: IncomingHttpHeaders): void {
  const version = headers['tus-resumable'];
  if (version === TUS_VERSION) return;
  const said = version === undefined ? 'is missing' : `is ${JSON.stringify(version)}`;
  throw new HoldfastError(
    'unsupported_protocol_version',
    `Tus-Resumable ${said}; this hub speaks ${TUS_VERSION}.`,
    {
      errors: [{ field: 'Tus-Resumable', message: `must be ${TUS_VERSION}` }],
    },
  );
}

/** @throws HoldfastError `unsupported_media_type` unless the body is announced as tus bytes */
export function requireMediaType(headers: IncomingHttpHeaders): void {
  const given = headers['content-type']?.split(';')[0]?.trim().toLowerCase();
  if (given === tusMediaType) return;
  throw new HoldfastError('unsupported_media_type', `Send the bytes with Content-Type: ${tusMediaType}.`, {
    errors: [{ field: 'Content-Type', message: `must be ${tusMediaType}` }],
  });
}

/**
 * A header that counts bytes; undefined when it is not there.
 * @throws HoldfastError `invalid_request` for anything but a whole number from 0 to 2^53 - 1
 */
export function byteHeader(headers: IncomingHttpHeaders, name: string): number | undefined {
  const text = headers[name.toLowerCase()];
  if (text === undefined) return undefined;
  const value = typeof text === 'string' && /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(value)) return value;
  throw refusedHeader(name, 'must be a whole number of bytes');
}

/** @throws HoldfastError `invalid_request` when it is missing or malformed */
export function requiredByteHeader(headers: IncomingHttpHeaders, name: string): number {
  const value = byteHeader(headers, name);
  if (value === undefined) throw refusedHeader(name, 'is required');
  return value;
}

/**
 * The length of a new upload: bytes, or null when it is told later (`Upload-Defer-Length: 1`).
 * @throws HoldfastError `invalid_request` unless exactly one of the two is there; `too_large`
 */
export function lengthOfNew(headers: IncomingHttpHeaders): number | null {
  const length = byteHeader(headers, 'Upload-Length');
  const deferred = headers['upload-defer-length'];
  if (deferred !== undefined && deferred !== '1') throw refusedHeader('Upload-Defer-Length', 'can only be 1');
  if (length !== undefined && deferred !== undefined)
    throw refusedHeader('Upload-Defer-Length', 'must not come together with Upload-Length');
  if (length === undefined && deferred === undefined)
    throw refusedHeader('Upload-Length', 'is required, or Upload-Defer-Length: 1');
  if (length !== undefined && length > MAX_FILE_BYTES)
    throw new HoldfastError('too_large', 'A file may have at most 5 TiB.', {
      errors: [{ field: 'Upload-Length', message: 'must be at most 5 TiB' }],
    });
  return length ?? null;
}

/**
 * `Upload-Checksum: <algorithm> <digest in Base64>`; undefined when it is not there.
 * @throws HoldfastError `invalid_request` for an algorithm that is not spoken, or a digest of another length
 */
export function checksumHeader(
  headers: IncomingHttpHeaders,
): { algorithm: ChecksumAlgorithm; digest: Buffer } | undefined {
  const text = headers['upload-checksum'];
  if (text === undefined) return undefined;
  const [name, encoded, ...rest] = typeof text === 'string' ? text.split(' ') : [];
  const algorithm = checksumAlgorithms.find((known) => known === name);
  if (algorithm === undefined || encoded === undefined || rest.length > 0)
    throw refusedHeader(
      'Upload-Checksum',
      `must be ${checksumAlgorithms.join(' or ')} and a digest in Base64`,
    );
  const digest = decodeBase64(encoded);
  if (digest?.length !== digestBytes[algorithm])
    throw refusedHeader(
      'Upload-Checksum',
      `must hold the ${digestBytes[algorithm]} bytes of a ${algorithm} in Base64`,
    );
  return { algorithm, digest };
}

/**
 * `Upload-Concat`: `partial`, or `final;` with the URLs of the parts, absolute or not; undefined when it is not there.
 * @throws HoldfastError `invalid_request`
 */
export function concatHeader(headers: IncomingHttpHeaders): ConcatHeader | undefined {
  const text = headers['upload-concat'];
  if (text === undefined) return undefined;
  if (text === 'partial') return { kind: 'partial' };
  const list = typeof text === 'string' ? /^final;(.+)$/.exec(text)?.[1] : undefined;
  const uploadIds = (list ?? '').trim().split(/ +/).map(idOfUrl);
  const known = uploadIds.filter((id) => id !== undefined);
  if (known.length === 0 || known.length !== uploadIds.length)
    throw refusedHeader(
      'Upload-Concat',
      'must be partial, or final; with the URLs of the parts, joined by blanks',
    );
  return { kind: 'final', uploadIds: known };
}

/** The id of the upload that a URL of this server names. */
function idOfUrl(url: string): string | undefined {
  return /\/api\/tus\/([A-Za-z0-9-]+)$/.exec(url)?.[1];
}

/** The bytes of canonical Base64 (RFC 4648 §4), or undefined when the text is anything else. */
export function decodeBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : undefined;
}

/** A header that is refused, by its name. */
export function refusedHeader(field: string, message: string): HoldfastError {
  return new HoldfastError('invalid_request', `${field} ${message}.`, { errors: [{ field, message }] });
}
