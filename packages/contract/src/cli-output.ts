import { z } from 'zod';
import { workflow } from './workflows.ts';
import { upload } from './uploads.ts';
import { transfer } from './transfers.ts';
import { settings, settingsPatch } from './settings.ts';
import { operation } from './operations.ts';
import { node, nodePreview } from './nodes.ts';
import { mac } from './mac.ts';
import { event } from './events.ts';
import { backend, backendTest } from './backends.ts';
import { storageFile } from './files.ts';
import { byteCount, count, id, sha256, time } from './fields.ts';
import { host, hostFile, collectionReport, vaultStats, vaultVerifyReport } from './host-files.ts';
import { apiKey, apiKeyWithToken } from './keys.ts';

/** A file or folder as `ls`, `stat` and `tree` name it. */
const listed = z.object({
  path: z.string().describe('As the command line takes it: `NAME:/path` or `hub:/HOST/path`.'),
  type: z.enum(['file', 'directory', 'backend', 'host']),
  size: byteCount.nullable(),
  modified_at: time.nullable(),
  sha256: sha256.nullable(),
});

/** A file that a command has moved, copied, sent or fetched. */
const moved = z.object({
  source: z.string(),
  destination: z.string(),
  bytes: byteCount.nullable(),
  sha256: sha256.nullable(),
});

/** What a transfer of one or many files has come to. */
const transferred = z.object({
  dry_run: z.boolean(),
  bytes: byteCount,
  files: z.array(
    moved.extend({
      status: z.enum(['stored', 'deduplicated', 'fetched', 'planned', 'failed']),
      verified: z.boolean().describe('The SHA-256 was compared at the other end.'),
      error: z.object({ code: z.string(), detail: z.string() }).nullable(),
    }),
  ),
});

/** Those of several things for which a command has failed, each by the name that it was given. */
const failures = z.array(z.object({ name: z.string(), code: z.string(), detail: z.string() }));

/** What `--json` prints, by the name of the command. `events` and `transfers --follow` print one such document a line. */
export const cliOutputs = {
  login: z.object({ profile: z.string(), url: z.string(), key: apiKey }),
  logout: z.object({ removed: z.array(z.string()) }),
  whoami: z.object({
    profile: z.string().nullable().describe('Null when the environment names the hub.'),
    url: z.string(),
    hub_version: z.string(),
    version: z.string().describe('Of the command.'),
    key: apiKey,
  }),
  ls: z.object({ entries: z.array(listed) }),
  tree: z.object({ root: z.string(), folders: count, files: count, entries: z.array(listed) }),
  stat: z.object({
    files: z.array(
      z.discriminatedUnion('kind', [
        z.object({ kind: z.literal('backend'), path: z.string(), backend_id: id, file: storageFile }),
        z.object({ kind: z.literal('host'), path: z.string(), host }),
        z.object({ kind: z.literal('host_file'), path: z.string(), file: hostFile }),
      ]),
    ),
  }),
  put: transferred,
  get: transferred,
  cp: transferred,
  mv: z.object({ dry_run: z.boolean(), source: z.string(), destination: z.string() }),
  rm: z.object({
    dry_run: z.boolean(),
    removed: z.array(z.string()),
    failed: z.array(z.object({ path: z.string(), code: z.string(), detail: z.string() })),
  }),
  mkdir: z.object({ made: z.array(z.string()), existed: z.array(z.string()) }),
  verify: z.object({
    path: z.string(),
    operation_id: id,
    checked: count,
    bytes: byteCount,
    drifted: z.array(
      z.object({
        path: z.string(),
        expected: sha256.nullable(),
        actual: sha256.nullable(),
        problem: z.string(),
      }),
    ),
    drifted_count: count,
    failed: z.array(z.object({ path: z.string(), code: z.string(), detail: z.string() })),
    failed_count: count,
  }),
  find: z.object({
    sha256,
    files: z.array(z.object({ path: z.string(), size: byteCount, kind: z.enum(['backend', 'host_file']) })),
  }),
  sync: z.object({
    dry_run: z.boolean(),
    source: z.string(),
    destination: z.string(),
    unchanged: count,
    transferred: count.describe('Files; with `dry_run` those that would be, as in the fields below.'),
    bytes: byteCount.describe('Of the transferred files.'),
    touched: count.describe(
      'Files that had the right bytes and got the time and permission bits of the source.',
    ),
    removed: count,
    skipped: count.describe('Symlinks and special files, which are never followed or opened.'),
    failed_count: count,
    failed: z
      .array(z.object({ path: z.string(), code: z.string(), detail: z.string() }))
      .max(1000)
      .describe('The first 1000, by their paths below the folder.'),
    actions: z
      .array(
        z.object({
          action: z.enum(['create', 'replace', 'touch', 'remove']),
          path: z.string(),
          bytes: byteCount,
        }),
      )
      .optional()
      .describe('With --dry-run and --verbose.'),
  }),
  doctor: z.object({
    url: z.string().nullable().describe('Null when no hub is configured.'),
    status: z.enum(['ok', 'warn', 'fail']).describe('The worst of the checks.'),
    checks: z.array(
      z.object({
        name: z.string(),
        status: z.enum(['ok', 'warn', 'fail']),
        message: z.string(),
        fix: z.string().nullable().describe('What to do about it.'),
      }),
    ),
  }),
  completion: z.object({ shell: z.enum(['bash', 'zsh', 'fish']), script: z.string() }),
  backendsList: z.object({ backends: z.array(backend) }),
  backendsAdd: z.object({ backend }),
  backendsEdit: z.object({ backend }),
  backendsTest: backendTest.extend({ id, name: z.string() }),
  backendsRm: z.object({ id, name: z.string() }),
  settingsGet: settingsPatch,
  settingsSet: settings,
  uploadsList: z.object({ uploads: z.array(upload) }),
  uploadsAbort: z.object({ aborted: z.array(id), failed: failures }),
  keysCreate: z.object({ key: apiKeyWithToken }),
  keysList: z.object({ keys: z.array(apiKey) }),
  keysRevoke: z.object({ revoked: z.array(z.string()), failed: failures }),
  hosts: z.object({ hosts: z.array(host) }),
  history: z.object({ versions: z.array(hostFile) }),
  restore: z.object({
    dry_run: z.boolean(),
    restored: z.array(
      z.object({
        file_id: id.describe('Of the version that was asked for.'),
        path: z.string(),
        version: z.int().min(1).nullable().describe('Null with --file-id.'),
      }),
    ),
    files: z.array(hostFile).describe('As they are now; empty with --dry-run.'),
    failed: failures,
  }),
  transfersList: z.object({ transfers: z.array(transfer) }),
  transfersFollow: event,
  transfersEnd: z.object({ ended: z.array(id), failed: failures }),
  events: event,
  nodesList: z.object({ nodes: z.array(node) }),
  nodesShow: z.object({ node }),
  nodesEdit: z.object({ node }),
  nodesRm: z.object({ id, mac }),
  workflowsList: z.object({ workflows: z.array(workflow) }),
  workflowsShow: z.object({ workflow }),
  workflowsCreate: z.object({ workflow }),
  workflowsEdit: z.object({ workflow }),
  workflowsRm: z.object({ id, name: z.string() }),
  bootPreview: nodePreview.extend({ id, mac }),
  operationsList: z.object({ operations: z.array(operation) }),
  vaultStats,
  vaultCollect: collectionReport.extend({ operation_id: id }),
  vaultVerify: vaultVerifyReport.extend({ operation_id: id }),
} as const satisfies Record<string, z.ZodType>;

export type CliOutputName = keyof typeof cliOutputs;
/** What a command hands over to be printed with `--json`. */
export type CliOutput<N extends CliOutputName> = z.input<(typeof cliOutputs)[N]>;
