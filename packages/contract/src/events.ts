import { z } from 'zod';
import { defineEndpoint } from './endpoint.ts';
import type { Scope } from './endpoint.ts';
import { byteCount, count, id, sha256, time } from './fields.ts';
import { contentProblem } from './host-files.ts';
import { mac } from './mac.ts';
import { nodeState } from './nodes.ts';
import { operationError, operationKind } from './operations.ts';
import { transfer } from './transfers.ts';

export const eventTypes = [
  'transfer.started',
  'transfer.progress',
  'transfer.finished',
  'upload.started',
  'upload.progress',
  'upload.completed',
  'upload.failed',
  'backend.status',
  'file.changed',
  'file.deleted',
  'content.damaged',
  'node.seen',
  'node.booted',
  'node.installed',
  'operation.finished',
  'settings.changed',
] as const;
export type EventType = (typeof eventTypes)[number];

/** What every event of an upload carries. */
const uploadFields = {
  upload_id: id,
  hostname: z.string().nullable().describe('Null with `destination_path`.'),
  filepath: z.string().nullable().describe('Null with `destination_path`.'),
  destination_path: z.string().nullable().describe('The path of a backend at which it ends.'),
  file_size: byteCount.nullable(),
  actor: z.string().nullable(),
};

const at = time.describe('When it happened.');

/** A message of the event stream. */
export const event = z
  .discriminatedUnion('type', [
    z.object({ type: z.literal('transfer.started'), at, transfer }),
    z.object({ type: z.literal('transfer.progress'), at, transfer }),
    z.object({
      type: z.literal('transfer.finished'),
      at,
      transfer,
      outcome: z.enum(['complete', 'aborted', 'failed']),
    }),
    z.object({ type: z.literal('upload.started'), at, ...uploadFields }),
    z.object({
      type: z.literal('upload.progress'),
      at,
      ...uploadFields,
      received_bytes: byteCount,
      uploaded_chunks: count,
      total_chunks: count,
    }),
    z.object({
      type: z.literal('upload.completed'),
      at,
      ...uploadFields,
      file_id: id.nullable().describe('Of the host file; null with `destination_path`.'),
      sha256,
      deduplicated: z.boolean(),
    }),
    z.object({ type: z.literal('upload.failed'), at, ...uploadFields, error: operationError }),
    z.object({
      type: z.literal('backend.status'),
      at,
      backend_id: id,
      name: z.string(),
      status: z.enum(['online', 'offline', 'error']),
      status_message: z.string().nullable(),
    }),
    z.object({
      type: z.literal('file.changed'),
      at,
      backend_id: id,
      path: z.string(),
      size: byteCount,
      checksum_sha256: sha256.nullable(),
    }),
    z.object({
      type: z.literal('file.deleted'),
      at,
      backend_id: id,
      path: z.string().describe('A file, or a folder with all it held.'),
    }),
    z.object({
      type: z.literal('content.damaged'),
      at,
      sha256,
      backend_id: id.describe('Where it is kept.'),
      problem: contentProblem,
    }),
    z.object({
      type: z.literal('node.seen'),
      at,
      node_id: id,
      mac,
      ip: z.string().nullable(),
      created: z.boolean().describe('True when the node was not known before.'),
    }),
    z.object({
      type: z.literal('node.booted'),
      at,
      node_id: id,
      mac,
      state: nodeState,
      workflow_id: z.string().nullable(),
    }),
    z.object({ type: z.literal('node.installed'), at, node_id: id, mac }),
    z.object({
      type: z.literal('operation.finished'),
      at,
      operation_id: id,
      operation: operationKind,
      actor: z.string().nullable().describe('The name of the API key; null for the hub itself.'),
      backend_id: z.string().nullable(),
      file: z.string().nullable(),
      bytes: byteCount,
      success: z.boolean(),
      error: operationError.nullable(),
    }),
    z.object({ type: z.literal('settings.changed'), at, fields: z.array(z.string()) }),
  ])
  .meta({ id: 'Event' });
export type Event = z.output<typeof event>;

/** The scope that a key needs to see an event (`admin` sees all); null: any key. */
export const eventScopes: Record<EventType, Scope | null> = {
  'transfer.started': 'files:read',
  'transfer.progress': 'files:read',
  'transfer.finished': 'files:read',
  'upload.started': 'files:read',
  'upload.progress': 'files:read',
  'upload.completed': 'files:read',
  'upload.failed': 'files:read',
  'backend.status': 'backends:read',
  'file.changed': 'files:read',
  'file.deleted': 'files:read',
  'content.damaged': 'backends:read',
  'node.seen': 'boot:read',
  'node.booted': 'boot:read',
  'node.installed': 'boot:read',
  'operation.finished': null,
  'settings.changed': null,
};

function isEventType(name: string): name is EventType {
  const names: readonly string[] = eventTypes;
  return names.includes(name);
}

/** `?types=file.changed,file.deleted`; without it, all types. */
export const eventQuery = z.object({
  types: z
    .string()
    .transform((text, context) => {
      const types: EventType[] = [];
      for (const name of text.split(',').map((part) => part.trim())) {
        if (isEventType(name)) types.push(name);
        else
          context.addIssue({
            code: 'custom',
            message: `must be a list of ${eventTypes.join(', ')}; not "${name}"`,
          });
      }
      return types;
    })
    .pipe(z.array(z.enum(eventTypes)))
    .optional()
    .describe('The types to receive, joined by commas. Default: all.')
    .meta({ examples: ['file.changed,file.deleted'] }),
});
export type EventQuery = z.output<typeof eventQuery>;

export const eventEndpoints = {
  subscribeEvents: defineEndpoint({
    method: 'GET',
    path: '/api/v1/events',
    access: 'authenticated',
    tag: 'Events',
    summary: 'Receive events over a WebSocket',
    description:
      'Each text message is one event in JSON. A key receives what its scopes let it read: `file.*`, `upload.*` and `transfer.*` need ' +
      '`files:read`, `backend.*` and `content.*` `backends:read`, `node.*` `boot:read`; of `operation.finished` a key without ' +
      '`admin` receives its own. Messages of the client are ignored.',
    query: eventQuery,
    response: event,
    status: [101],
  }),
};
