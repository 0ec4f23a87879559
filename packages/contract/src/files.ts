import { z } from 'zod';
import { defineEndpoint, rawBody } from './endpoint.ts';
import { pageQuery, success } from './envelope.ts';
import { byteCount, count, id, idParams, pathText, queryBoolean, sha256, time } from './fields.ts';
import { operation } from './operations.ts';
import { errorCode } from './problem.ts';

const base = '/api/v1/storage/backends/{id}';
const tag = 'Files';

/** A file or folder of a backend. */
export const storageFile = z
  .object({
    name: z.string(),
    path: z.string().describe('From the root of the backend, with a leading slash.'),
    type: z.enum(['file', 'directory']),
    size: byteCount.describe('0 for a folder.'),
    mime_type: z.string().nullable().describe('Null for a folder.'),
    modified_at: time,
    item_count: count
      .nullable()
      .describe('The children of a folder; null for a file or when it is not known.'),
    checksum_sha256: sha256.nullable().describe('Null when it is not known for the bytes as they are now.'),
    computed_at: time.nullable().describe('When the checksum was computed.'),
  })
  .meta({ id: 'StorageFile' });
export type StorageFile = z.output<typeof storageFile>;

const pathQuery = z.object({ path: pathText.describe('From the root of the backend.') });

export const fileListQuery = pageQuery.extend({
  path: pathText.default('/').describe('The folder.'),
  recursive: queryBoolean.default(false).describe('Walk the subfolders too.'),
});

export const fileList = z
  .object({
    path: z.string(),
    files: z.array(storageFile),
    total: count
      .nullable()
      .describe('All entries of the listing; null when the backend does not know (recursive).'),
    next_cursor: z.string().optional().describe('Present when there is more: send it as `cursor`.'),
  })
  .meta({ id: 'FileList' });
export type FileList = z.output<typeof fileList>;

export const batchDelete = z
  .strictObject({
    paths: z.array(pathText).min(1, 'must name at least one path').max(1000, 'must name at most 1000 paths'),
  })
  .meta({ id: 'BatchDelete' });

export const batchDeleteResult = z
  .object({
    deleted: count,
    failed: z.array(z.object({ path: z.string(), code: errorCode, detail: z.string() })),
  })
  .meta({ id: 'BatchDeleteResult' });
export type BatchDeleteResult = z.output<typeof batchDeleteResult>;

export const fileTransfer = z
  .strictObject({
    source_path: pathText,
    destination_path: pathText,
    overwrite: z.boolean().default(false).describe('Replace what is at the destination.'),
  })
  .meta({ id: 'FileTransfer' });

export const folderCreate = z.strictObject({ path: pathText }).meta({ id: 'FolderCreate' });

export const verifyRequest = z
  .strictObject({
    path: pathText,
    recursive: z.boolean().default(false).describe('The whole folder below the path.'),
  })
  .meta({ id: 'VerifyRequest' });

/** The `details` of a `verify` operation that was started by `verifyFiles`. */
export const verifyReport = z
  .object({
    path: z.string(),
    recursive: z.boolean(),
    files_checked: count,
    bytes_checked: byteCount,
    drifted_count: count,
    drifted: z
      .array(z.object({ path: z.string(), expected_sha256: sha256, actual_sha256: sha256 }))
      .max(1000)
      .describe('Files whose bytes do not have the recorded checksum; the first 1000.'),
    failed_count: count,
    failed: z
      .array(z.object({ path: z.string(), code: errorCode, detail: z.string() }))
      .max(1000)
      .describe('Files that could not be read; the first 1000.'),
  })
  .meta({ id: 'VerifyReport' });
export type VerifyReport = z.output<typeof verifyReport>;

/** Refusals that reading from a backend can meet. */
const readErrors = [
  'backend_not_found',
  'invalid_path',
  'file_not_found',
  'backend_unavailable',
  'wrong_volume',
] as const;
/** Refusals that changing a backend can meet. */
const writeErrors = [
  'backend_not_found',
  'invalid_path',
  'not_supported',
  'read_only',
  'not_a_directory',
  'is_a_directory',
  'wrong_volume',
  'backend_unavailable',
  'storage_full',
] as const;

/** Where a content stands on a backend, as its checksum record says. */
export const foundFile = z
  .object({
    backend_id: id,
    backend_name: z.string().nullable(),
    path: z.string(),
    size: byteCount,
    computed_at: time.describe('When the bytes there were last known to be these.'),
  })
  .meta({ id: 'FoundFile' });
export type FoundFile = z.output<typeof foundFile>;

export const fileEndpoints = {
  findFiles: defineEndpoint({
    method: 'GET',
    path: '/api/v1/storage/find',
    access: 'files:read',
    tag,
    summary: 'Find files by their SHA-256',
    description:
      'Files on backends, within the reach of the key, whose checksum record is this SHA-256; by backend and path. A file that ' +
      'was changed or removed behind the hub is listed until the hub notices.',
    query: pageQuery.extend({ sha256 }),
    response: z.object({
      success: z.literal(true),
      data: z.array(foundFile),
      next_cursor: z.string().optional().describe('Present when there is more: send it as `cursor`.'),
    }),
    status: [200],
  }),
  listFiles: defineEndpoint({
    method: 'GET',
    path: `${base}/files`,
    access: 'files:read',
    tag,
    summary: 'List a folder',
    params: idParams,
    query: fileListQuery,
    response: success(fileList),
    status: [200],
    errors: [...readErrors, 'not_a_directory'],
  }),
  uploadFile: defineEndpoint({
    method: 'POST',
    path: `${base}/files`,
    access: 'files:write',
    tag,
    summary: 'Store a file',
    description:
      'The body is the bytes themselves, or a form with one part `file`. 201 for a new file, 200 for a replaced ' +
      'one; both say that the bytes are durable and that the checksum was computed from the very bytes stored. ' +
      'When an expected checksum does not match, nothing is changed. Missing parent folders are made.',
    params: idParams,
    query: pathQuery,
    headers: {
      'x-expected-checksum-sha256': 'The SHA-256 that the bytes must have, in hexadecimal.',
      'content-digest': 'The same as a structured field (RFC 9530), e.g. `sha-256=:…:`.',
      'repr-digest': 'Taken like `Content-Digest`.',
      'if-none-match': '`*`: only when nothing is at the path.',
      'if-match': 'Only when the file at the path has one of these ETags.',
    },
    body: rawBody(['application/octet-stream', 'multipart/form-data'], 'The bytes of the file.'),
    response: success(storageFile),
    status: [201, 200],
    errors: [
      ...writeErrors,
      'checksum_mismatch',
      'incomplete_body',
      'length_required',
      'precondition_failed',
      'too_large',
      'unsupported_media_type',
    ],
  }),
  downloadFile: defineEndpoint({
    method: 'GET',
    path: `${base}/files/download`,
    access: 'files:read',
    tag,
    summary: 'Fetch the bytes of a file',
    description:
      'With the headers, conditions and ranges of the boot files. HEAD answers the same without the body.',
    params: idParams,
    query: pathQuery,
    headers: { range: 'Which bytes (RFC 9110 §14).', 'if-none-match': 'ETags that the caller has.' },
    response: rawBody(['application/octet-stream'], 'The bytes of the file, or of the range.'),
    status: [200, 206, 304],
    errors: [...readErrors, 'is_a_directory', 'precondition_failed', 'range_not_satisfiable'],
  }),
  deleteFile: defineEndpoint({
    method: 'DELETE',
    path: `${base}/files`,
    access: 'files:write',
    tag,
    summary: 'Remove a file or a folder',
    description: 'The root of a backend is never removed.',
    params: idParams,
    query: pathQuery.extend({
      recursive: queryBoolean.default(false).describe('A folder with all it holds.'),
    }),
    response: success(z.object({ deleted: count.describe('Files and folders removed.') })),
    status: [200],
    errors: [...writeErrors, 'file_not_found', 'not_empty'],
  }),
  deleteFiles: defineEndpoint({
    method: 'POST',
    path: `${base}/files/delete`,
    access: 'files:write',
    tag,
    summary: 'Remove many files',
    description:
      'Files and empty folders, each on its own: what cannot be removed is listed with the reason.',
    params: idParams,
    body: batchDelete,
    response: success(batchDeleteResult),
    status: [200],
    errors: ['backend_not_found', 'backend_unavailable', 'wrong_volume'],
  }),
  moveFile: defineEndpoint({
    method: 'POST',
    path: `${base}/files/move`,
    access: 'files:write',
    tag,
    summary: 'Move a file or a folder',
    params: idParams,
    body: fileTransfer,
    response: success(storageFile),
    status: [200],
    errors: [...writeErrors, 'file_not_found', 'already_exists', 'not_empty', 'conflict'],
  }),
  copyFile: defineEndpoint({
    method: 'POST',
    path: `${base}/files/copy`,
    access: 'files:write',
    tag,
    summary: 'Copy a file',
    params: idParams,
    body: fileTransfer,
    response: success(storageFile),
    status: [200],
    errors: [...writeErrors, 'file_not_found', 'already_exists', 'conflict'],
  }),
  verifyFiles: defineEndpoint({
    method: 'POST',
    path: `${base}/files/verify`,
    access: 'files:write',
    tag,
    summary: 'Hash files again and report drift',
    description: 'Answers at once with the operation; its `details` become a VerifyReport.',
    params: idParams,
    body: verifyRequest,
    response: success(operation),
    status: [202],
    errors: readErrors,
  }),
  createFolder: defineEndpoint({
    method: 'POST',
    path: `${base}/folders`,
    access: 'files:write',
    tag,
    summary: 'Make a folder',
    params: idParams,
    body: folderCreate,
    response: success(storageFile),
    status: [201],
    errors: [...writeErrors, 'already_exists'],
  }),
};
