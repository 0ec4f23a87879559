import { z } from 'zod';
import { defineEndpoint } from './endpoint.ts';
import { success, wholeList } from './envelope.ts';
import { byteCount, count, deletedId, id, idParams, time } from './fields.ts';

const base = '/api/v1/transfers';
const tag = 'Transfers';

export const transferProtocol = z.enum(['http', 'tftp']);

/** What one client gets of one file: many range requests of a machine for one image are one transfer. */
export const transfer = z
  .object({
    id,
    client: z.string().describe('The address of the machine.'),
    actor: z.string(),
    backend_id: id,
    path: z.string(),
    protocol: transferProtocol,
    size: byteCount.nullable().describe('Bytes of the whole file; null when it is not known.'),
    bytes: byteCount.describe('Bytes sent so far; parts that were sent again count again.'),
    rate: z.number().min(0).describe('Bytes a second, over about the last second.'),
    priority: z.number().describe('1 to 32: the smaller what remains, the higher.'),
    share: z.number().min(0).describe('Bytes a second that it is entitled to now.'),
    eta_seconds: z.number().min(0).nullable().describe('Null when the size is not known or nothing moves.'),
    waiting_ms: z.number().min(0).describe('Time spent waiting for its turn.'),
    requests: count,
    started_at: time,
  })
  .meta({ id: 'Transfer' });
export type Transfer = z.output<typeof transfer>;

export const transferEndpoints = {
  listTransfers: defineEndpoint({
    method: 'GET',
    path: base,
    access: 'files:read',
    tag,
    summary: 'List the transfers that are under way',
    description: 'All of them in one answer, the oldest first. A limited key sees those of its files.',
    response: wholeList(transfer),
    status: [200],
  }),
  endTransfer: defineEndpoint({
    method: 'DELETE',
    path: `${base}/{id}`,
    access: 'files:write',
    tag,
    summary: 'End a transfer',
    description: 'Its connection is cut; the client may ask again.',
    params: idParams,
    response: success(deletedId),
    status: [200],
    errors: ['transfer_not_found'],
  }),
};
