import { z } from 'zod';
import { defineEndpoint } from './endpoint.ts';
import { listOf, pageQuery, success } from './envelope.ts';
import { byteCount, id, idParams, queryBoolean, time, timeInput } from './fields.ts';

const tag = 'Operations';

export const operationKind = z.enum([
  'upload',
  'download',
  'delete',
  'access',
  'metadata_change',
  'sync',
  'verify',
]);
export type OperationKind = z.output<typeof operationKind>;

/** Why an operation failed. */
export const operationError = z.object({
  code: z.string(),
  message: z.string(),
  retryable: z.boolean().describe('Whether the same can succeed later without a change.'),
});

/** One line of the operation log. */
export const operation = z
  .object({
    operation_id: id,
    operation: operationKind,
    state: z.enum(['running', 'finished']),
    actor: z
      .string()
      .nullable()
      .describe('The name of the API key; null for the hub itself and for machines.'),
    provider: z.string().nullable(),
    backend_id: z.string().nullable(),
    file: z.string().nullable(),
    bytes: byteCount,
    duration_ms: z.number().min(0).nullable().describe('Null while it runs.'),
    success: z.boolean().nullable().describe('Null while it runs.'),
    duplicate: z.boolean(),
    error: operationError.nullable(),
    details: z
      .record(z.string(), z.unknown())
      .nullable()
      .describe('Progress and result: a VerifyReport or a BackfillReport for those operations.'),
    started_at: time,
    finished_at: time.nullable(),
  })
  .meta({ id: 'Operation' });
export type Operation = z.output<typeof operation>;

export const operationListQuery = pageQuery.extend({
  operation: operationKind.optional(),
  file: z.string().min(1).max(4096).optional().describe('The exact path.'),
  success: queryBoolean.optional(),
  since: timeInput.optional().describe('Started at this time or later.'),
});

const ownOnly = 'A key without `admin` sees only what it did itself.';

export const operationEndpoints = {
  listOperations: defineEndpoint({
    method: 'GET',
    path: '/api/v1/operations',
    access: 'authenticated',
    tag,
    summary: 'Read the operation log, newest first',
    description: ownOnly,
    query: operationListQuery,
    response: listOf(operation),
    status: [200],
  }),
  getOperation: defineEndpoint({
    method: 'GET',
    path: '/api/v1/operations/{id}',
    access: 'authenticated',
    tag,
    summary: 'Show an operation and how far it is',
    description: `${ownOnly} That of another key is 404.`,
    params: idParams,
    response: success(operation),
    status: [200],
    errors: ['operation_not_found'],
  }),
};
