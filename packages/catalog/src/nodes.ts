import { randomUUID } from 'node:crypto';
import { HoldfastError } from '@holdfast/contract/errors';
import { sql } from 'kysely';
import type { Selectable } from 'kysely';
import { fromMillis, fromMillisOrNull, toMillis, toMillisOrNull } from './columns.ts';
import { decodeTimeCursor, encodeTimeCursor, rowsToFetch, toPage } from './cursor.ts';
import type { CountedPage } from './cursor.ts';
import { violationOf } from './database-error.ts';
import type { CatalogDatabase } from './database.ts';
import type { NodeState, NodesTable } from './tables/nodes-table.ts';

const LIST = 'nodes';
/** Lower-case octets with colons: six for Ethernet, up to twenty for InfiniBand (RFC 4391 §9.1.1). */
const MAC = /^[0-9a-f]{2}(:[0-9a-f]{2}){5,19}$/;

/** A machine that boots. */
export interface Node {
  id: string;
  /** Lower case with colons; unique. */
  mac: string;
  name: string | null;
  state: NodeState;
  workflowId: string | null;
  arch: string | null;
  uuid: string | null;
  serial: string | null;
  vendor: string | null;
  model: string | null;
  lastIp: string | null;
  /** The hash of the one-time token under which the node may report that it is installed. */
  tokenHash: string | null;
  lastSeenAt: Date | null;
  installedAt: Date | null;
  createdAt: Date;
  updatedAt: Date;
}

/** State `discovered` when none is given. */
export type NewNode = Pick<Node, 'mac'> & Partial<Omit<Node, 'mac' | 'createdAt' | 'updatedAt'>>;

/** Fields that are left out stay as they are. */
export type NodePatch = Partial<Omit<Node, 'id' | 'createdAt' | 'updatedAt'>>;

/** What a booting machine tells about itself. */
export interface NodeSighting {
  mac: string;
  uuid?: string | null;
  serial?: string | null;
  vendor?: string | null;
  model?: string | null;
  arch?: string | null;
  ip?: string | null;
  at: Date;
}

export interface NodeListOptions {
  limit: number;
  cursor?: string;
  state?: NodeState;
}

export class Nodes {
  readonly #database: CatalogDatabase;

  constructor(database: CatalogDatabase) {
    this.#database = database;
  }

  /** Oldest first. `total` counts the whole list, `state` considered. */
  async list(options: NodeListOptions): Promise<CountedPage<Node>> {
    const { limit, state } = options;
    const after = options.cursor === undefined ? null : decodeTimeCursor(LIST, options.cursor);
    let all = this.#database.db.selectFrom('nodes');
    if (state !== undefined) all = all.where('state', '=', state);
    let query = all.selectAll().orderBy('created_at').orderBy('id').limit(rowsToFetch(limit));
    if (after !== null) {
      query = query.where(({ eb, refTuple, tuple }) =>
        eb(refTuple('created_at', 'id'), '>', tuple(after.at, after.id)),
      );
    }
    const rows = await query.execute();
    const { total } = await all
      .select(({ fn }) => fn.countAll<number>().as('total'))
      .executeTakeFirstOrThrow();
    const page = toPage(rows, limit, toNode, (row) =>
      encodeTimeCursor(LIST, { at: row.created_at, id: row.id }),
    );
    return { ...page, total };
  }

  async get(id: string): Promise<Node | null> {
    const row = await this.#database.db
      .selectFrom('nodes')
      .selectAll()
      .where('id', '=', id)
      .executeTakeFirst();
    return row === undefined ? null : toNode(row);
  }

  async getByMac(mac: string): Promise<Node | null> {
    const row = await this.#database.db
      .selectFrom('nodes')
      .selectAll()
      .where('mac', '=', mac)
      .executeTakeFirst();
    return row === undefined ? null : toNode(row);
  }

  /** @throws HoldfastError `conflict` for a known MAC, `workflow_not_found`, `invalid_request` for a malformed MAC */
  async insert(node: NewNode): Promise<Node> {
    assertMac(node.mac);
    const now = Date.now();
    try {
      const row = await this.#database.db
        .insertInto('nodes')
        .values({
          id: node.id ?? randomUUID(),
          mac: node.mac,
          name: node.name ?? null,
          state: node.state ?? 'discovered',
          workflow_id: node.workflowId ?? null,
          arch: node.arch ?? null,
          uuid: node.uuid ?? null,
          serial: node.serial ?? null,
          vendor: node.vendor ?? null,
          model: node.model ?? null,
          last_ip: node.lastIp ?? null,
          token_hash: node.tokenHash ?? null,
          last_seen_at: toMillisOrNull(node.lastSeenAt ?? null),
          installed_at: toMillisOrNull(node.installedAt ?? null),
          created_at: now,
          updated_at: now,
        })
        .returningAll()
        .executeTakeFirstOrThrow();
      return toNode(row);
    } catch (error) {
      throw refusal(error, node);
    }
  }

  /**
   * Notes that a machine was seen; an unknown one becomes a node in state `discovered`. What it does not tell stays
   * as it was known, and a sighting that arrives late does not turn `lastSeenAt` back. Several first sightings at
   * once make one node. `updatedAt` is left to changes that somebody made.
   * @throws HoldfastError `invalid_request` for a malformed MAC
   */
  async seen(sighting: NodeSighting): Promise<{ node: Node; created: boolean }> {
    assertMac(sighting.mac);
    const id = randomUUID();
    const at = toMillis(sighting.at);
    const row = await this.#database.db
      .insertInto('nodes')
      .values({
        id,
        mac: sighting.mac,
        name: null,
        state: 'discovered',
        workflow_id: null,
        arch: sighting.arch ?? null,
        uuid: sighting.uuid ?? null,
        serial: sighting.serial ?? null,
        vendor: sighting.vendor ?? null,
        model: sighting.model ?? null,
        last_ip: sighting.ip ?? null,
        token_hash: null,
        last_seen_at: at,
        installed_at: null,
        created_at: at,
        updated_at: at,
      })
      .onConflict((conflict) =>
        conflict.column('mac').doUpdateSet(({ fn, ref }) => ({
          arch: fn.coalesce(ref('excluded.arch'), ref('nodes.arch')),
          uuid: fn.coalesce(ref('excluded.uuid'), ref('nodes.uuid')),
          serial: fn.coalesce(ref('excluded.serial'), ref('nodes.serial')),
          vendor: fn.coalesce(ref('excluded.vendor'), ref('nodes.vendor')),
          model: fn.coalesce(ref('excluded.model'), ref('nodes.model')),
          last_ip: fn.coalesce(ref('excluded.last_ip'), ref('nodes.last_ip')),
          last_seen_at: sql<number>`case when nodes.last_seen_at > excluded.last_seen_at
            then nodes.last_seen_at else excluded.last_seen_at end`,
        })),
      )
      .returningAll()
      .executeTakeFirstOrThrow();
    return { node: toNode(row), created: row.id === id };
  }

  /**
   * @returns the node as it is now; null when there is none with this id
   * @throws HoldfastError `conflict` for the MAC of another node, `workflow_not_found`, `invalid_request`
   */
  async update(id: string, patch: NodePatch): Promise<Node | null> {
    if (patch.mac !== undefined) assertMac(patch.mac);
    try {
      const row = await this.#database.db
        .updateTable('nodes')
        .set({
          mac: patch.mac,
          name: patch.name,
          state: patch.state,
          workflow_id: patch.workflowId,
          arch: patch.arch,
          uuid: patch.uuid,
          serial: patch.serial,
          vendor: patch.vendor,
          model: patch.model,
          last_ip: patch.lastIp,
          token_hash: patch.tokenHash,
          last_seen_at: patch.lastSeenAt === undefined ? undefined : toMillisOrNull(patch.lastSeenAt),
          installed_at: patch.installedAt === undefined ? undefined : toMillisOrNull(patch.installedAt),
          updated_at: Date.now(),
        })
        .where('id', '=', id)
        .returningAll()
        .executeTakeFirst();
      return row === undefined ? null : toNode(row);
    } catch (error) {
      throw refusal(error, patch);
    }
  }

  /** @returns false when there is none with this id */
  async remove(id: string): Promise<boolean> {
    const result = await this.#database.db.deleteFrom('nodes').where('id', '=', id).executeTakeFirstOrThrow();
    return result.numDeletedRows > 0n;
  }

  /** Gives the node a one-time token, in place of an earlier one. Null when there is no such node. */
  async issueToken(id: string, tokenHash: string): Promise<Node | null> {
    return await this.update(id, { tokenHash });
  }

  /**
   * Uses up the one-time token: the node is installed. Of several callers with the same token one succeeds.
   * @returns null when the token is not the node's, or was used
   */
  async consumeToken(id: string, tokenHash: string, at: Date): Promise<Node | null> {
    const row = await this.#database.db
      .updateTable('nodes')
      .set({ state: 'installed', installed_at: toMillis(at), token_hash: null, updated_at: toMillis(at) })
      .where('id', '=', id)
      .where('token_hash', '=', tokenHash)
      .returningAll()
      .executeTakeFirst();
    return row === undefined ? null : toNode(row);
  }
}

function toNode(row: Selectable<NodesTable>): Node {
  return {
    id: row.id,
    mac: row.mac,
    name: row.name,
    state: row.state,
    workflowId: row.workflow_id,
    arch: row.arch,
    uuid: row.uuid,
    serial: row.serial,
    vendor: row.vendor,
    model: row.model,
    lastIp: row.last_ip,
    tokenHash: row.token_hash,
    lastSeenAt: fromMillisOrNull(row.last_seen_at),
    installedAt: fromMillisOrNull(row.installed_at),
    createdAt: fromMillis(row.created_at),
    updatedAt: fromMillis(row.updated_at),
  };
}

function assertMac(mac: string): void {
  if (MAC.test(mac)) return;
  const message = `The MAC address must be written in lower case with colons, like 52:54:00:12:34:56; "${mac}" is not.`;
  throw new HoldfastError('invalid_request', message, { errors: [{ field: 'mac', message }] });
}

function refusal(error: unknown, fields: { mac?: string; workflowId?: string | null }): unknown {
  const violation = violationOf(error);
  if (violation?.column === 'nodes.mac') {
    const message = `There is already a node with the MAC address ${fields.mac ?? ''}. Change that one instead.`;
    return new HoldfastError('conflict', message, { cause: error, errors: [{ field: 'mac', message }] });
  }
  if (violation?.kind === 'foreign_key') {
    const message = `There is no workflow with the id ${fields.workflowId ?? ''}.`;
    return new HoldfastError('workflow_not_found', message, {
      cause: error,
      errors: [{ field: 'workflow_id', message }],
    });
  }
  return error;
}
