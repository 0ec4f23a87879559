import { z } from 'zod';
import { defineEndpoint, rawBody } from './endpoint.ts';
import { pageQuery } from './envelope.ts';
import { byteCount, count, id, sha256, time, timeInput } from './fields.ts';
import { fileMode, filepath, hostname } from './host-names.ts';
import { operation } from './operations.ts';

const base = '/api/files';
const tag = 'Host files';

/** One version of a file as it was seen on a machine. */
export const hostFile = z
  .object({
    file_id: id.describe('Of this version.'),
    hostname,
    filepath,
    sha256,
    file_size: byteCount,
    mtime: time.nullable().describe('When the machine says it was changed; null when it did not say.'),
    mode: fileMode.nullable().describe('Permission bits; null when the machine did not say.'),
    version: z.int().min(1).describe('Counts up for each (hostname, filepath).'),
    is_current: z.boolean().describe('The newest version.'),
    status: z.enum(['active', 'deleted']),
    deleted_at: time.nullable(),
    restorable_until: time.nullable().describe('Of a deleted file: until then it can be restored.'),
    uploaded_by: z.string().nullable().describe('The name of the API key.'),
    created_at: time.describe('When this version arrived.'),
  })
  .meta({ id: 'HostFile' });
export type HostFile = z.output<typeof hostFile>;

export const hostFileQuery = pageQuery.extend({
  hostname: hostname.optional(),
  path_prefix: filepath.optional().describe('Paths that begin with this text.'),
  status: z.enum(['active', 'deleted', 'all']).default('active'),
  sha256: sha256.optional(),
  versions: z.enum(['current', 'all']).default('current').describe('`all`: the history too, newest first.'),
});
export type HostFileQuery = z.output<typeof hostFileQuery>;

export const hostFileList = z
  .object({
    files: z.array(hostFile),
    total: count.describe('All entries of the list, not only of this page.'),
    next_cursor: z.string().optional().describe('Present when there is more: send it as `cursor`.'),
  })
  .meta({ id: 'HostFileList' });
export type HostFileList = z.output<typeof hostFileList>;

/** A machine whose files are kept. */
export const host = z
  .object({
    hostname,
    files: count.describe('Current files that are not deleted.'),
    bytes: byteCount.describe('Their size together.'),
    deleted_files: count.describe('Deleted files that can still be restored.'),
    last_seen_at: time.describe('When a file of this machine last came or was deleted.'),
  })
  .meta({ id: 'Host' });
export type Host = z.output<typeof host>;

export const hostList = z
  .object({ hosts: z.array(host), total: count, next_cursor: z.string().optional() })
  .meta({ id: 'HostList' });
export type HostList = z.output<typeof hostList>;

/** What a verification found of a content: its backend does not have it, or has other bytes. */
export const contentProblem = z.enum(['missing', 'mismatch']);

/** Bytes known by their SHA-256, and who refers to them, as far as the caller may see. */
export const content = z
  .object({
    sha256,
    size: byteCount,
    backend_id: id.describe('Where it is kept.'),
    backend_name: z.string().nullable(),
    created_at: time,
    status: z
      .enum(['stored', 'damaged'])
      .describe(
        '`damaged`: a verification found it missing or with other bytes. Uploading the file again mends it.',
      ),
    problem: contentProblem.nullable().describe('What is damaged.'),
    host_files: z
      .array(hostFile)
      .max(1000)
      .describe('The clones: files with this content within reach; the first 1000.'),
    host_files_total: count,
  })
  .meta({ id: 'Content' });
export type Content = z.output<typeof content>;

const archiveQuery = z.object({
  format: z.enum(['tar', 'zip']).default('tar'),
  at: timeInput.optional().describe('The tree as it was at this time. Default: now.'),
  path_prefix: filepath.optional().describe('Only paths that begin with this text.'),
});

/** What names one file for a deletion notice. */
export const deletionNotice = z
  .strictObject({
    sha256,
    filepath,
    hostname,
    deleted_at: timeInput.optional().describe('When it vanished on the machine. Default: now.'),
  })
  .meta({ id: 'DeletionNotice' });
export type DeletionNotice = z.output<typeof deletionNotice>;

const contentParams = z.object({ sha256: sha256.describe('The SHA-256 of the content.') });

/** The same fields in the query string, for clients whose proxies drop the body of a DELETE. */
export const deletionFields = deletionNotice.omit({ sha256: true });
const deletionQuery = z.object(deletionFields.partial().shape);

export const hostFileEndpoints = {
  listHostFiles: defineEndpoint({
    method: 'GET',
    path: base,
    access: 'files:read',
    tag,
    summary: 'List host files',
    description: 'By hostname and path. Only files within the reach of the key are listed and counted.',
    query: hostFileQuery,
    response: hostFileList,
    status: [200],
  }),
  listHosts: defineEndpoint({
    method: 'GET',
    path: `${base}/hosts`,
    access: 'files:read',
    tag,
    summary: 'List the machines',
    query: pageQuery,
    response: hostList,
    status: [200],
  }),
  downloadHostArchive: defineEndpoint({
    method: 'GET',
    path: `${base}/hosts/{hostname}/archive`,
    access: 'files:read',
    tag,
    summary: "Fetch a machine's files as one tar or zip",
    description:
      'Streamed; every file is verified on its way out, and the archive is cut before its end when one does not verify.',
    params: z.object({ hostname }),
    query: archiveQuery,
    response: rawBody(['application/x-tar', 'application/zip'], 'The archive.'),
    status: [200],
    errors: ['host_file_not_found', 'backend_unavailable'],
  }),
  getContent: defineEndpoint({
    method: 'GET',
    path: `${base}/{sha256}`,
    access: 'files:read',
    tag,
    summary: 'Show a content and what refers to it',
    params: contentParams,
    response: content,
    status: [200],
    errors: ['content_not_found'],
  }),
  downloadContent: defineEndpoint({
    method: 'GET',
    path: `${base}/{sha256}/content`,
    access: 'files:read',
    tag,
    summary: 'Fetch the bytes of a content',
    description: 'With the headers, conditions and ranges of the boot files. They never change.',
    params: contentParams,
    headers: { range: 'Which bytes (RFC 9110 §14).', 'if-none-match': 'ETags that the caller has.' },
    response: rawBody(['application/octet-stream'], 'The bytes, or the range.'),
    status: [200, 206, 304],
    errors: ['content_not_found', 'backend_unavailable', 'precondition_failed', 'range_not_satisfiable'],
  }),
  deleteHostFile: defineEndpoint({
    method: 'DELETE',
    path: `${base}/{sha256}`,
    access: 'files:write',
    tag,
    summary: 'Report that a file was deleted on its machine',
    description:
      'The fields go in the body, or in the query for clients whose proxies drop the body of a DELETE. The file can be ' +
      'restored until the retention has passed. Reporting it again answers the same.',
    params: contentParams,
    query: deletionQuery,
    body: deletionFields.partial(),
    response: z.object({
      sha256,
      filepath,
      hostname,
      status: z.literal('deleted'),
      deleted_at: time,
    }),
    status: [200],
    errors: ['host_file_not_found'],
  }),
  deleteHostFiles: defineEndpoint({
    method: 'POST',
    path: `${base}/deletions`,
    access: 'files:write',
    tag,
    summary: 'Report many deletions',
    body: z.strictObject({
      files: z
        .array(deletionNotice)
        .min(1, 'must name at least one file')
        .max(1000, 'must name at most 1000 files'),
    }),
    response: z.object({
      deleted: count,
      not_found: z.array(z.object({ sha256, filepath, hostname })),
    }),
    status: [200],
  }),
  restoreHostFile: defineEndpoint({
    method: 'POST',
    path: `${base}/{file_id}/restore`,
    access: 'files:write',
    tag,
    summary: 'Restore a file',
    description:
      'Un-deletes a file within the retention. An older version becomes the newest one again: a new version with its bytes.',
    params: z.object({ file_id: id }),
    response: hostFile,
    status: [200],
    errors: ['host_file_not_found', 'upload_expired'],
  }),
};

/** The vault: every content that was taken in, kept once. */
export const vaultStats = z
  .object({
    contents: count,
    bytes: byteCount.describe('What the vault holds.'),
    host_files: count.describe('Versions that refer to it, deleted ones included.'),
    host_file_bytes: byteCount.describe('Their size if each were kept on its own.'),
    unreferenced_contents: count.describe('What a collection would remove now.'),
    unreferenced_bytes: byteCount,
  })
  .meta({ id: 'VaultStats' });
export type VaultStats = z.output<typeof vaultStats>;

/** The `details` of an operation that `collectVault` started. */
export const collectionReport = z
  .object({
    dry_run: z.boolean(),
    purged_files: count.describe('Versions of deleted files whose retention had passed.'),
    removed_contents: count,
    removed_bytes: byteCount,
    orphans: count.describe(
      'Files in the vault that the catalog does not know, left by a crash, and removed.',
    ),
    orphan_bytes: byteCount,
    failed: z.array(z.object({ sha256, code: z.string(), detail: z.string() })).max(1000),
  })
  .meta({ id: 'CollectionReport' });
export type CollectionReport = z.output<typeof collectionReport>;

export const vaultVerifyRequest = z
  .strictObject({
    sha256: z
      .array(sha256)
      .min(1, 'must name at least one content')
      .max(10_000, 'must name at most 10,000')
      .optional()
      .describe('Only these contents. Default: all.'),
    hostname: hostname
      .optional()
      .describe('Only contents of files of this machine, older versions included.'),
    path_prefix: filepath.optional().describe('Only contents of files whose path begins with this text.'),
    rate_limit_mbps: z
      .number()
      .positive()
      .max(100_000)
      .optional()
      .describe('Megabits a second read at most.'),
  })
  .meta({ id: 'VaultVerifyRequest' });

/** The `details` of an operation that `verifyVault` started. */
export const vaultVerifyReport = z
  .object({
    checked: count.describe('Contents that were looked at.'),
    bytes: byteCount.describe('Their bytes that were hashed.'),
    damaged_count: count,
    damaged: z
      .array(
        z.object({
          sha256,
          backend_id: id,
          problem: contentProblem,
          host_files: z
            .array(z.object({ hostname, filepath, version: z.int().min(1) }))
            .describe('The first files that have it.'),
        }),
      )
      .max(1000)
      .describe('The first 1000.'),
    failed_count: count.describe('Contents that could not be read, so that nothing is known of them.'),
    failed: z.array(z.object({ sha256, code: z.string(), detail: z.string() })).max(1000),
  })
  .meta({ id: 'VaultVerifyReport' });
export type VaultVerifyReport = z.output<typeof vaultVerifyReport>;

/** The report with what was asked for, and how far it is: enough to go on with it after a restart. */
export const vaultVerifyDetails = vaultVerifyReport.extend({
  kind: z.literal('vault_verify'),
  sha256: z.array(sha256).nullable(),
  hostname: hostname.nullable(),
  path_prefix: filepath.nullable(),
  rate_limit_mbps: z.number().nullable(),
  after: sha256.nullable().describe('Up to here all is done.'),
});
export type VaultVerifyDetails = z.output<typeof vaultVerifyDetails>;

export const vaultEndpoints = {
  getVault: defineEndpoint({
    method: 'GET',
    path: '/api/v1/vault',
    access: 'backends:read',
    tag: 'Vault',
    summary: 'Show what the vault holds',
    response: z.object({ success: z.literal(true), data: vaultStats }),
    status: [200],
  }),
  collectVault: defineEndpoint({
    method: 'POST',
    path: '/api/v1/vault/collect',
    access: 'admin',
    tag: 'Vault',
    summary: 'Remove what nothing refers to',
    description:
      'An operation: first the versions of deleted files whose retention has passed, then every content that nothing refers ' +
      'to any more. `dry_run` only counts. The hub does the same by itself every hour.',
    body: z.strictObject({ dry_run: z.boolean().default(false) }),
    response: z.object({ success: z.literal(true), data: z.object({ operation_id: id }) }),
    status: [202],
    errors: ['conflict'],
  }),
  verifyVault: defineEndpoint({
    method: 'POST',
    path: '/api/v1/vault/verify',
    access: 'admin',
    tag: 'Vault',
    summary: 'Hash contents again where they are kept',
    description:
      'Answers at once with the operation; its `details` become a VaultVerifyReport. It is resumed after a restart. A content ' +
      'that is damaged is noted: it is not handed out any more, and an upload of the same bytes takes its place.',
    body: vaultVerifyRequest,
    response: z.object({ success: z.literal(true), data: operation }),
    status: [202],
    errors: ['conflict'],
  }),
};
