import { z } from 'zod';
import { defineEndpoint, rawBody } from './endpoint.ts';
import { pageQuery } from './envelope.ts';
import { byteCount, count, id, pathText, queryInteger, sha256, time, timeInput } from './fields.ts';
import { fileMode, filepath, hostname } from './host-names.ts';

const base = '/api/uploads';
const tag = 'Uploads';

/** The most chunks that one upload may have. */
export const MAX_CHUNKS = 100_000;
/** The largest file, in bytes: 5 TiB, which is also the largest object of S3. */
export const MAX_FILE_BYTES = 5 * 1024 ** 4;
/** How many chunk URLs an answer carries at most. */
export const MAX_CHUNK_URLS = 1000;

/** The media type of a batch. See docs/uploads.md for the framing. */
export const batchMediaType = 'application/vnd.holdfast.batch';
/** Files of one batch at most. */
export const MAX_BATCH_FILES = 1000;
/** Bytes of one file of a batch at most. */
export const MAX_BATCH_FILE_BYTES = 1024 * 1024;
/** Bytes of a whole batch at most. */
export const MAX_BATCH_BYTES = 64 * 1024 * 1024;
/** Bytes of one file's header in a batch at most. */
export const MAX_BATCH_HEADER_BYTES = 32 * 1024;

/** What is known of a file that is to be uploaded, whichever way it travels. */
const description = {
  filepath,
  hostname,
  mtime: timeInput.nullable().optional().describe('When the file was changed on its machine.'),
  mode: fileMode.nullable().optional(),
};

const orPath = 'Left out with `destination_path`.';

export const uploadInitiate = z
  .strictObject({
    ...description,
    filepath: filepath.optional().describe(orPath),
    hostname: hostname.optional().describe(orPath),
    destination_path: pathText
      .optional()
      .describe('The path of the backend at which the file is to stand, instead of becoming a host file.'),
    overwrite: z
      .boolean()
      .optional()
      .describe('With `destination_path`: take the place of a file that is there. Default: false.'),
    sha256: sha256
      .nullable()
      .optional()
      .describe(
        'Of the whole file. May come with `complete` instead when it is not known yet; then nothing is deduplicated here.',
      ),
    file_size: byteCount.max(MAX_FILE_BYTES, 'must be at most 5 TiB'),
    chunk_size: z.int().min(1).max(MAX_FILE_BYTES),
    total_chunks: count.max(MAX_CHUNKS, `must be at most ${MAX_CHUNKS}; take larger chunks`),
    backend_id: id
      .optional()
      .describe('Where it is to be kept. Default: the ingest backend. Required with `destination_path`.'),
  })
  .superRefine((upload, context) => {
    for (const [field, message] of destinationProblems(upload))
      context.addIssue({ code: 'custom', path: [field], message });
    const expected = Math.ceil(upload.file_size / upload.chunk_size);
    if (upload.total_chunks === expected) return;
    context.addIssue({
      code: 'custom',
      path: ['total_chunks'],
      message: `must be ${expected} for ${upload.file_size} bytes in chunks of ${upload.chunk_size}`,
    });
  })
  .meta({ id: 'UploadInitiate' });
export type UploadInitiate = z.output<typeof uploadInitiate>;

/** The fields that do not agree with where the upload is to end, each with what it must be. */
function destinationProblems({
  destination_path,
  hostname: machine,
  filepath: path,
  backend_id,
  overwrite,
}: {
  destination_path?: string | undefined;
  hostname?: string | undefined;
  filepath?: string | undefined;
  backend_id?: string | undefined;
  overwrite?: boolean | undefined;
}): [field: string, message: string][] {
  const problems: [string, string][] = [];
  if (destination_path === undefined) {
    if (path === undefined) problems.push(['filepath', 'is required']);
    if (machine === undefined) problems.push(['hostname', 'is required']);
    if (overwrite !== undefined) problems.push(['overwrite', 'goes with destination_path only']);
    return problems;
  }
  if (path !== undefined) problems.push(['filepath', 'must be left out with destination_path']);
  if (machine !== undefined) problems.push(['hostname', 'must be left out with destination_path']);
  if (backend_id === undefined) problems.push(['backend_id', 'is required with destination_path']);
  return problems;
}

export const uploadStarted = z
  .object({
    upload_id: id,
    expires_at: time.describe('Slides with every chunk.'),
    chunk_size: byteCount,
    total_chunks: count,
    chunk_urls: z
      .array(z.string())
      .max(MAX_CHUNK_URLS)
      .describe('Of the first 1000 chunks, relative to the hub.'),
    deduplicated: z.literal(false),
  })
  .meta({ id: 'UploadStarted' });
export type UploadStarted = z.output<typeof uploadStarted>;

export const uploadDeduplicated = z
  .object({ deduplicated: z.literal(true), file_id: id, sha256 })
  .meta({ id: 'UploadDeduplicated' });
export type UploadDeduplicated = z.output<typeof uploadDeduplicated>;

export const uploadStatus = z.enum([
  'initiated',
  'uploading',
  'completing',
  'completed',
  'failed',
  'aborted',
  'expired',
]);
export type UploadStatus = z.output<typeof uploadStatus>;

/** An upload session as it stands. */
export const upload = z
  .object({
    upload_id: id,
    protocol: z.enum(['chunks', 'tus']),
    status: uploadStatus,
    filepath: filepath.nullable().describe('Null with `destination_path`.'),
    hostname: hostname.nullable().describe('Null with `destination_path`.'),
    destination_path: z
      .string()
      .nullable()
      .describe('The path of the backend at which it ends; null: it becomes a host file.'),
    file_size: byteCount.nullable().describe('Null while a tus client has not told it.'),
    sha256: sha256.nullable().describe('As announced; null when it was not.'),
    backend_id: id,
    received_bytes: byteCount,
    received_chunks: z
      .array(z.tuple([count, count]))
      .describe('Ranges of chunk numbers, both ends included: `[[0,11],[14,20]]`. Empty for tus.'),
    uploaded_chunks: count,
    total_chunks: count,
    chunk_size: byteCount,
    actor: z.string().nullable().describe('The name of the API key.'),
    file_id: id.nullable().describe('Of the finished file.'),
    error: z.string().nullable().describe('Why it failed.'),
    created_at: time,
    expires_at: time,
  })
  .meta({ id: 'Upload' });
export type Upload = z.output<typeof upload>;

export const chunkReceived = z
  .object({
    chunk_num: count,
    etag: sha256.describe('The SHA-256 of the chunk.'),
    received_bytes: byteCount.describe('Of this chunk.'),
    uploaded_chunks: count,
    total_chunks: count,
  })
  .meta({ id: 'ChunkReceived' });
export type ChunkReceived = z.output<typeof chunkReceived>;

export const uploadComplete = z
  .strictObject({
    parts: z
      .array(z.strictObject({ chunk_num: count, etag: sha256 }))
      .max(MAX_CHUNKS)
      .optional()
      .describe('When given, compared with what was received.'),
    sha256: sha256.optional().describe('Of the whole file, when `initiate` did not have it.'),
  })
  .meta({ id: 'UploadComplete' });
export type UploadComplete = z.output<typeof uploadComplete>;

export const uploadCompleted = z
  .object({
    file_id: id.nullable().describe('Of the host file; null when it stands at a path of a backend.'),
    path: z
      .string()
      .optional()
      .describe('Where it stands on its backend, when it was begun with `destination_path`.'),
    sha256,
    file_size: byteCount,
    status: z.literal('completed'),
    deduplicated: z
      .boolean()
      .describe('True when the vault held these bytes already, so that nothing was stored twice.'),
    storage_location: z.object({ backend_id: id, backend_name: z.string().nullable() }),
  })
  .meta({ id: 'UploadCompleted' });
export type UploadCompleted = z.output<typeof uploadCompleted>;

/** The JSON header of one file of a batch. */
export const batchFileHeader = z
  .strictObject({
    ...description,
    sha256,
    size: byteCount.max(MAX_BATCH_FILE_BYTES, 'must be at most 1 MiB; upload larger files in chunks'),
  })
  .meta({ id: 'BatchFileHeader' });
export type BatchFileHeader = z.output<typeof batchFileHeader>;

export const batchResult = z
  .object({
    files: z.array(
      z.object({
        filepath: z.string(),
        hostname: z.string(),
        status: z.enum(['stored', 'deduplicated', 'refused']),
        sha256: z.string(),
        file_id: id.optional(),
        code: z.string().optional().describe('Why it was refused.'),
        detail: z.string().optional(),
      }),
    ),
  })
  .meta({ id: 'BatchResult' });
export type BatchResult = z.output<typeof batchResult>;

/** What a client plans its chunks by. */
export const uploadLimits = z
  .object({
    backend_id: id,
    preferred_chunk_size: byteCount,
    min_chunk_size: byteCount.describe('Of all chunks but the last.'),
    max_chunk_size: byteCount,
    preferred_parallel_chunks: z.int().min(1),
    max_chunks: count,
    max_file_size: byteCount,
    batch: z.object({
      max_files: count,
      max_bytes: byteCount,
      max_file_bytes: byteCount,
    }),
  })
  .meta({ id: 'UploadLimits' });
export type UploadLimits = z.output<typeof uploadLimits>;

const uploadParams = z.object({ upload_id: id });

export const uploadEndpoints = {
  listUploads: defineEndpoint({
    method: 'GET',
    path: base,
    access: 'files:write',
    tag,
    summary: 'List upload sessions',
    description: 'Newest first; those of the key, or all for `admin`.',
    query: pageQuery.extend({ status: uploadStatus.optional() }),
    response: z.object({ uploads: z.array(upload), total: count, next_cursor: z.string().optional() }),
    status: [200],
  }),
  getUploadLimits: defineEndpoint({
    method: 'GET',
    path: `${base}/limits`,
    access: 'files:write',
    tag,
    summary: 'Advice for planning chunks',
    query: z.object({ backend_id: id.optional().describe('Default: the ingest backend.') }),
    response: uploadLimits,
    status: [200],
    errors: ['backend_not_found', 'backend_unavailable'],
  }),
  initiateUpload: defineEndpoint({
    method: 'POST',
    path: `${base}/initiate`,
    access: 'files:write',
    tag,
    summary: 'Begin an upload',
    description:
      'Answers `deduplicated` for content that the key may already read: the host file exists then, and nothing is to be sent. ' +
      'Space and quota are reserved here. A file of no bytes has no chunks: go straight to `complete`. With `destination_path` the ' +
      'file comes to stand at that path of the backend, instead of becoming a host file.',
    body: uploadInitiate,
    response: z.union([uploadStarted, uploadDeduplicated]),
    status: [201, 200],
    errors: [
      'backend_not_found',
      'already_exists',
      'is_a_directory',
      'not_a_directory',
      'invalid_path',
      'backend_unavailable',
      'read_only',
      'quota_exceeded',
      'storage_full',
      'wrong_volume',
    ],
  }),
  getUpload: defineEndpoint({
    method: 'GET',
    path: `${base}/{upload_id}`,
    access: 'files:write',
    tag,
    summary: 'Show an upload session',
    params: uploadParams,
    response: upload,
    status: [200],
    errors: ['upload_not_found', 'upload_expired'],
  }),
  putChunk: defineEndpoint({
    method: 'PUT',
    path: `${base}/{upload_id}/chunk/{chunk_num}`,
    access: 'files:write',
    tag,
    summary: 'Send a chunk',
    description:
      'Chunks count from 0 and may come in any order and side by side. 200 says that the bytes are durable. The same bytes again ' +
      'get the same answer; other bytes for a received chunk are refused with `chunk_conflict`. A second connection for a chunk ' +
      'under way takes it over, and the first one is told `superseded`.',
    params: z.object({
      upload_id: id,
      chunk_num: z
        .string()
        .regex(/^\d{1,9}$/, 'must be a whole number')
        .transform(Number),
    }),
    headers: {
      'content-length': 'Exactly the size of the chunk.',
      'content-digest': 'Checked when given (RFC 9530), e.g. `sha-256=:…:`.',
    },
    body: rawBody(['application/octet-stream'], 'The bytes of the chunk.'),
    response: chunkReceived,
    status: [200],
    errors: [
      'upload_not_found',
      'chunk_conflict',
      'superseded',
      'conflict',
      'upload_expired',
      'length_required',
      'too_large',
      'incomplete_body',
      'checksum_mismatch',
      'backend_unavailable',
      'storage_full',
    ],
  }),
  completeUpload: defineEndpoint({
    method: 'POST',
    path: `${base}/{upload_id}/complete`,
    access: 'files:write',
    tag,
    summary: 'Finish an upload',
    description:
      'Verifies the SHA-256 of the whole, then publishes in one step. Again: the same answer. When the SHA-256 does not match, ' +
      'the session has failed and nothing that existed is touched.',
    params: uploadParams,
    body: uploadComplete,
    response: uploadCompleted,
    status: [200],
    errors: [
      'upload_not_found',
      'chunks_missing',
      'chunk_conflict',
      'already_exists',
      'is_a_directory',
      'not_a_directory',
      'invalid_path',
      'conflict',
      'upload_expired',
      'checksum_mismatch',
      'backend_unavailable',
      'storage_full',
    ],
  }),
  abortUpload: defineEndpoint({
    method: 'DELETE',
    path: `${base}/{upload_id}`,
    access: 'files:write',
    tag,
    summary: 'Give an upload up',
    params: uploadParams,
    response: z.object({
      upload_id: id,
      status: z.literal('aborted'),
      chunks_uploaded: count,
      chunks_deleted: count,
    }),
    status: [200],
    errors: ['upload_not_found', 'upload_expired', 'conflict'],
  }),
  checkContents: defineEndpoint({
    method: 'POST',
    path: `${base}/check`,
    access: 'files:write',
    tag,
    summary: 'Ask which contents need no upload',
    description: 'Known are those that the key may already read.',
    body: z.strictObject({ sha256: z.array(sha256).max(10_000, 'must name at most 10,000') }),
    response: z.object({ known: z.array(sha256) }),
    status: [200],
  }),
  uploadBatch: defineEndpoint({
    method: 'POST',
    path: `${base}/batch`,
    access: 'files:write',
    tag,
    summary: 'Send many small files in one request',
    description:
      'For each file: the length of its header as four bytes (big-endian), the header as JSON, then its bytes. Each is verified and ' +
      'answered on its own. 200 says that every file that is not `refused` is durable.',
    body: rawBody([batchMediaType], 'Files, each behind its header (BatchFileHeader).'),
    response: batchResult,
    status: [200],
    errors: ['too_large', 'incomplete_body', 'unsupported_media_type', 'backend_unavailable', 'storage_full'],
  }),
};

/** What a time of ISO 8601 with four digits for the year can say, in seconds before and after 1970. */
const MAX_LEGACY_SECONDS = 62_167_219_200;

const legacyFile = z.looseObject({
  filepath,
  hostname,
  ip_address: z.string().max(100).optional(),
  sha256,
  file_size: byteCount.max(MAX_FILE_BYTES),
  file_mode: z
    .int()
    .min(0)
    .max(0o777777)
    .optional()
    .describe('As the system tells it; the bits of the file type do not count.'),
  file_mtime: z
    .number()
    .min(-MAX_LEGACY_SECONDS)
    .max(MAX_LEGACY_SECONDS)
    .optional()
    .describe('Seconds since 1970.'),
});

/** The older pair, for clients that exist already. */
export const legacyUploadEndpoints = {
  putFile: defineEndpoint({
    method: 'POST',
    path: '/api/put_file',
    access: 'files:write',
    tag,
    summary: 'Announce a file (older clients)',
    description: 'Use `/api/uploads/initiate`. Answers carry `Deprecation`.',
    body: legacyFile,
    response: z.looseObject({
      filepath,
      hostname,
      sha256,
      upload_required: z.boolean(),
      upload_url: z.string().nullable(),
      id: id.nullable(),
    }),
    status: [200],
    errors: ['backend_unavailable', 'quota_exceeded', 'storage_full'],
  }),
  uploadLegacyFile: defineEndpoint({
    method: 'POST',
    path: '/api/upload_file/{sha256}',
    access: 'files:write',
    tag,
    summary: 'Send an announced file in one request (older clients)',
    description: 'Use `/api/uploads`. Answers carry `Deprecation`.',
    params: z.object({ sha256 }),
    query: z.object({
      filepath,
      hostname,
      file_mode: queryInteger(0, 0o777777).optional(),
      file_mtime: z.coerce
        .number()
        .min(-MAX_LEGACY_SECONDS)
        .max(MAX_LEGACY_SECONDS)
        .optional()
        .describe('Seconds since 1970.'),
    }),
    body: rawBody(
      ['multipart/form-data', 'application/octet-stream'],
      'The bytes, or a form with one part `file`.',
    ),
    response: z.object({ id, sha256, file_size: byteCount, status: z.literal('uploaded'), hostname }),
    status: [200],
    errors: [
      'checksum_mismatch',
      'incomplete_body',
      'backend_unavailable',
      'quota_exceeded',
      'storage_full',
      'too_large',
      'unsupported_media_type',
    ],
  }),
};
