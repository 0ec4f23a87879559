import { z } from 'zod';
import { defineEndpoint, rawBody } from './endpoint.ts';
import { id } from './fields.ts';

const base = '/api/tus';
const tag = 'Uploads';
const params = z.object({ upload_id: id });

/** The media type of the bytes that a tus PATCH or a creation with upload carries (tus 1.0). */
export const tusMediaType = 'application/offset+octet-stream';

export const TUS_VERSION = '1.0.0';

/**
 * On every answer. Pages of any origin may call: the credential is a Bearer token that the page must have, never a cookie, so
 * that another page gains nothing by it.
 */
const answerHeaders = {
  'Tus-Resumable': TUS_VERSION,
  'Access-Control-Allow-Origin': '*',
  'Access-Control-Expose-Headers':
    'Location, Tus-Resumable, Tus-Version, Tus-Extension, Tus-Max-Size, Tus-Checksum-Algorithm, Upload-Offset, ' +
    'Upload-Length, Upload-Defer-Length, Upload-Metadata, Upload-Concat, Upload-Expires, Retry-After, X-Request-Id',
};

const common = { 'tus-resumable': 'Must be `1.0.0`.' };

/**
 * tus 1.0 with creation, creation-with-upload, creation-defer-length, checksum, concatenation, expiration and
 * termination. All answers carry `Tus-Resumable`; there are no JSON bodies but those of errors.
 */
export const tusEndpoints = {
  tusOptions: defineEndpoint({
    method: 'OPTIONS',
    path: base,
    access: 'anonymous',
    tag,
    answerHeaders,
    summary: 'What this tus server can do',
    status: [200],
  }),
  tusUploadOptions: defineEndpoint({
    method: 'OPTIONS',
    path: `${base}/{upload_id}`,
    access: 'anonymous',
    tag,
    answerHeaders,
    summary: 'What this tus server can do',
    params,
    status: [200],
  }),
  tusCreate: defineEndpoint({
    method: 'POST',
    path: base,
    access: 'files:write',
    tag,
    answerHeaders,
    summary: 'Create a tus upload',
    description:
      'Keys of `Upload-Metadata`: `filepath` (or `filename`, `name`), `hostname`, `sha256`, `mtime` (ISO 8601), `mode`, `backend_id`.',
    headers: {
      ...common,
      'upload-length': 'Bytes of the whole.',
      'upload-defer-length': '`1`: told later.',
      'upload-metadata': 'Keys with values in Base64.',
      'upload-concat': '`partial`, or `final;` with the URLs of the parts.',
      'upload-checksum': 'With a body: `sha1` or `sha256` and the digest in Base64.',
    },
    body: rawBody([tusMediaType], 'The first bytes, if any.'),
    status: [201],
    errors: [
      'unsupported_protocol_version',
      'upload_checksum_mismatch',
      'too_large',
      'quota_exceeded',
      'storage_full',
      'backend_unavailable',
      'unsupported_media_type',
    ],
  }),
  tusOverride: defineEndpoint({
    method: 'POST',
    path: `${base}/{upload_id}`,
    access: 'files:write',
    tag,
    answerHeaders,
    summary: 'PATCH or DELETE for clients that cannot send these methods',
    params,
    headers: { ...common, 'x-http-method-override': '`PATCH` or `DELETE`.' },
    body: rawBody([tusMediaType], 'As for the method that is meant.'),
    status: [204],
    errors: [
      'invalid_request',
      'upload_not_found',
      'upload_expired',
      'offset_mismatch',
      'unsupported_protocol_version',
    ],
  }),
  tusHead: defineEndpoint({
    method: 'HEAD',
    path: `${base}/{upload_id}`,
    access: 'files:write',
    tag,
    answerHeaders,
    summary: 'Ask where a tus upload goes on',
    params,
    headers: common,
    status: [200],
    errors: ['upload_not_found', 'upload_expired', 'unsupported_protocol_version'],
  }),
  tusPatch: defineEndpoint({
    method: 'PATCH',
    path: `${base}/{upload_id}`,
    access: 'files:write',
    tag,
    answerHeaders,
    summary: 'Send bytes of a tus upload',
    description:
      'A new connection for an upload under way asks the old one to let go. Bytes that arrived before a connection was lost count, ' +
      'unless a checksum covers them.',
    params,
    headers: {
      ...common,
      'upload-offset': 'Where these bytes belong.',
      'upload-length': 'When it was deferred.',
      'upload-checksum': '`sha1` or `sha256` and the digest in Base64.',
    },
    body: rawBody([tusMediaType], 'The bytes.'),
    status: [204],
    errors: [
      'upload_not_found',
      'upload_expired',
      'offset_mismatch',
      'superseded',
      'upload_checksum_mismatch',
      'checksum_mismatch',
      'unsupported_protocol_version',
      'unsupported_media_type',
      'incomplete_body',
      'too_large',
      'storage_full',
      'backend_unavailable',
    ],
  }),
  tusDelete: defineEndpoint({
    method: 'DELETE',
    path: `${base}/{upload_id}`,
    access: 'files:write',
    tag,
    answerHeaders,
    summary: 'Give a tus upload up',
    params,
    headers: common,
    status: [204],
    errors: ['upload_not_found', 'upload_expired', 'unsupported_protocol_version'],
  }),
};
