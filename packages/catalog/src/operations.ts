import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import type { Insertable, Selectable, SelectQueryBuilder } from 'kysely';
import {
  damaged,
  fromMillis,
  fromMillisOrNull,
  parseJsonObject,
  toCount,
  toMillis,
  toMillisOrNull,
} from './columns.ts';
import type { JsonObject } from './columns.ts';
import { decodeTimeCursor, encodeTimeCursor, rowsToFetch, toPage } from './cursor.ts';
import type { CountedPage } from './cursor.ts';
import type { CatalogDatabase } from './database.ts';
import { pathHead } from './path-key.ts';
import type { OperationKind, OperationsTable } from './tables/operations-table.ts';
import type { Schema } from './tables/schema.ts';

const LIST = 'operations';
const BATCH = 500;
const REMOVAL_BATCH = 2_000;

/** What the index `operations_file` finds by; the text must be the same as in its migration. */
const indexedFile = sql<string>`substr(file, 1, 512)`;

export interface OperationFailure {
  /** A code of the catalogue of errors, or a provider's. */
  code: string;
  message: string;
  retryable: boolean;
}

/** One line of the operation log: who did what to which file, how long, how it ended. */
export interface Operation {
  id: string;
  operation: OperationKind;
  state: 'running' | 'finished';
  actor: string | null;
  provider: string | null;
  backendId: string | null;
  file: string | null;
  bytes: number;
  durationMs: number | null;
  success: boolean | null;
  duplicate: boolean;
  error: OperationFailure | null;
  details: JsonObject | null;
  startedAt: Date;
  finishedAt: Date | null;
}

/** State `running`, started now, when nothing else is given. */
export type NewOperation = Pick<Operation, 'operation'> &
  Partial<Omit<Operation, 'operation'>> & {
    /** The hub that runs it: the one whose crash ends it. */
    hubId?: string | null;
  };

/** Fields that are left out stay as they are. */
export type OperationPatch = Partial<Omit<Operation, 'id' | 'operation' | 'startedAt'>>;

export interface OperationListOptions {
  operation?: OperationKind;
  /** Only what this actor did. */
  actor?: string;
  /** The exact file. */
  file?: string;
  success?: boolean;
  /** Started at this time or later. */
  since?: Date;
  limit: number;
  cursor?: string;
}

export class Operations {
  readonly #database: CatalogDatabase;

  constructor(database: CatalogDatabase) {
    this.#database = database;
  }

  async insert(operation: NewOperation): Promise<Operation> {
    const row = await this.#database.db
      .insertInto('operations')
      .values(toRow(operation))
      .returningAll()
      .executeTakeFirstOrThrow();
    return toOperation(row);
  }

  /** Inserts all or none. An id that is already there is left as it is, so that a doubtful insert can be repeated. */
  async insertMany(operations: readonly NewOperation[]): Promise<void> {
    if (operations.length === 0) return;
    const rows = operations.map(toRow);
    await this.#database.db.transaction().execute(async (trx) => {
      for (let start = 0; start < rows.length; start += BATCH) {
        await trx
          .insertInto('operations')
          .values(rows.slice(start, start + BATCH))
          .onConflict((conflict) => conflict.column('id').doNothing())
          .execute();
      }
    });
  }

  /** @returns the operation as it is now; null when there is none with this id */
  async update(id: string, patch: OperationPatch): Promise<Operation | null> {
    const changes = {
      state: patch.state,
      actor: storable(patch.actor),
      provider: storable(patch.provider),
      backend_id: patch.backendId,
      file: storable(patch.file),
      bytes: patch.bytes === undefined ? undefined : toCount(patch.bytes, 'bytes of an operation'),
      duration_ms: patch.durationMs === undefined ? undefined : toDuration(patch.durationMs),
      success: patch.success === undefined ? undefined : toFlag(patch.success),
      duplicate: patch.duplicate === undefined ? undefined : Number(patch.duplicate),
      error: toJson(patch.error),
      details: toJson(patch.details),
      finished_at: patch.finishedAt === undefined ? undefined : toMillisOrNull(patch.finishedAt),
    };
    if (Object.values(changes).every((value) => value === undefined)) return await this.get(id);
    const row = await this.#database.db
      .updateTable('operations')
      .set(changes)
      .where('id', '=', id)
      .returningAll()
      .executeTakeFirst();
    return row === undefined ? null : toOperation(row);
  }

  async get(id: string): Promise<Operation | null> {
    const row = await this.#database.db
      .selectFrom('operations')
      .selectAll()
      .where('id', '=', id)
      .executeTakeFirst();
    return row === undefined ? null : toOperation(row);
  }

  /** Newest first. `total` counts the whole list, all filters considered. */
  async list(options: OperationListOptions): Promise<CountedPage<Operation>> {
    const after = options.cursor === undefined ? null : decodeTimeCursor(LIST, options.cursor);
    const all = filtered(this.#database.db.selectFrom('operations'), options);
    let query = all
      .selectAll()
      .orderBy('started_at', 'desc')
      .orderBy('id', 'desc')
      .limit(rowsToFetch(options.limit));
    if (after !== null) {
      query = query.where(({ eb, refTuple, tuple }) =>
        eb(refTuple('started_at', 'id'), '<', tuple(after.at, after.id)),
      );
    }
    const rows = await query.execute();
    const { total } = await all
      .select(({ fn }) => fn.countAll<number>().as('total'))
      .executeTakeFirstOrThrow();
    const page = toPage(rows, options.limit, toOperation, (row) =>
      encodeTimeCursor(LIST, { at: row.started_at, id: row.id }),
    );
    return { ...page, total };
  }

  /**
   * Removes finished operations that started before `olderThan`, and those beyond the newest `keepAtMost`.
   * Running ones stay.
   * @returns how many were removed
   */
  async prune(options: { olderThan: Date; keepAtMost: number }): Promise<number> {
    const keepAtMost = toCount(options.keepAtMost, 'number of operations to keep');
    const newest = this.#database.db
      .selectFrom('operations')
      .select(['started_at', 'id'])
      .orderBy('started_at', 'desc')
      .orderBy('id', 'desc')
      .limit(keepAtMost);
    const oldestKept = await this.#database.db
      .selectFrom(newest.as('newest'))
      .selectAll()
      .orderBy('started_at')
      .orderBy('id')
      .limit(1)
      .executeTakeFirst();
    const olderThan = toMillis(options.olderThan);

    let removed = 0;
    for (;;) {
      // A key rather than a number of rows: two hubs that prune at once remove no more than one would.
      const batch = this.#database.db
        .selectFrom('operations')
        .select('id')
        .where('state', '=', 'finished')
        .where(({ eb, or, refTuple, tuple }) =>
          or([
            eb('started_at', '<', olderThan),
            ...(oldestKept === undefined
              ? keepAtMost === 0
                ? [eb.lit(true)]
                : []
              : [eb(refTuple('started_at', 'id'), '<', tuple(oldestKept.started_at, oldestKept.id))]),
          ]),
        )
        .limit(REMOVAL_BATCH);
      const result = await this.#database.db
        .deleteFrom('operations')
        .where('id', 'in', batch)
        .executeTakeFirstOrThrow();
      removed += Number(result.numDeletedRows);
      if (result.numDeletedRows < BigInt(REMOVAL_BATCH)) return removed;
    }
  }

  /** What a crash or restart of this hub left running, oldest first; that of no known hub too. */
  async running(hubId: string): Promise<Operation[]> {
    const rows = await this.#database.db
      .selectFrom('operations')
      .selectAll()
      .where('state', '=', 'running')
      .where(({ eb, or }) => or([eb('hub_id', '=', hubId), eb('hub_id', 'is', null)]))
      .orderBy('started_at')
      .orderBy('id')
      .execute();
    return rows.map(toOperation);
  }

  /**
   * Ends the operations that a crash left running. To be called at start, before any operation begins.
   * @param hubId only those of this hub, and those of no known one; all when left out
   * @returns how many there were
   */
  async failInterrupted(at: Date, hubId?: string): Promise<number> {
    const millis = toMillis(at);
    const failure: OperationFailure = {
      code: 'internal',
      message: 'The hub stopped before the operation ended. Start it again.',
      retryable: true,
    };
    let query = this.#database.db
      .updateTable('operations')
      .set({
        state: 'finished',
        success: 0,
        error: JSON.stringify(failure),
        finished_at: millis,
        duration_ms: sql<number>`case when started_at < ${millis} then ${millis} - started_at else 0 end`,
      })
      .where('state', '=', 'running');
    if (hubId !== undefined) {
      query = query.where(({ eb, or }) => or([eb('hub_id', '=', hubId), eb('hub_id', 'is', null)]));
    }
    const result = await query.executeTakeFirstOrThrow();
    return Number(result.numUpdatedRows);
  }
}

function filtered<Output>(
  query: SelectQueryBuilder<Schema, 'operations', Output>,
  options: OperationListOptions,
): SelectQueryBuilder<Schema, 'operations', Output> {
  let result = query;
  if (options.operation !== undefined) result = result.where('operation', '=', options.operation);
  if (options.actor !== undefined) result = result.where('actor', '=', options.actor);
  if (options.file !== undefined) {
    result = result.where(indexedFile, '=', pathHead(options.file)).where('file', '=', options.file);
  }
  if (options.success !== undefined) result = result.where('success', '=', Number(options.success));
  if (options.since !== undefined) result = result.where('started_at', '>=', toMillis(options.since));
  return result;
}

function toRow(operation: NewOperation): Insertable<OperationsTable> {
  return {
    id: operation.id ?? randomUUID(),
    operation: operation.operation,
    state: operation.state ?? 'running',
    hub_id: operation.hubId ?? null,
    actor: storable(operation.actor) ?? null,
    provider: storable(operation.provider) ?? null,
    backend_id: operation.backendId ?? null,
    file: storable(operation.file) ?? null,
    bytes: toCount(operation.bytes ?? 0, 'bytes of an operation'),
    duration_ms: toDuration(operation.durationMs ?? null),
    success: toFlag(operation.success ?? null),
    duplicate: Number(operation.duplicate ?? false),
    error: toJson(operation.error) ?? null,
    details: toJson(operation.details) ?? null,
    started_at: operation.startedAt === undefined ? Date.now() : toMillis(operation.startedAt),
    finished_at: toMillisOrNull(operation.finishedAt ?? null),
  };
}

function toOperation(row: Selectable<OperationsTable>): Operation {
  return {
    id: row.id,
    operation: row.operation,
    state: row.state,
    actor: row.actor,
    provider: row.provider,
    backendId: row.backend_id,
    file: row.file,
    bytes: row.bytes,
    durationMs: row.duration_ms,
    success: row.success === null ? null : row.success !== 0,
    duplicate: row.duplicate !== 0,
    error: row.error === null ? null : parseFailure(row.error),
    details: row.details === null ? null : parseJsonObject(row.details, 'operations.details'),
    startedAt: fromMillis(row.started_at),
    finishedAt: fromMillisOrNull(row.finished_at),
  };
}

function parseFailure(text: string): OperationFailure {
  const { code, message, retryable } = parseJsonObject(text, 'operations.error');
  if (typeof code !== 'string' || typeof message !== 'string' || typeof retryable !== 'boolean') {
    throw damaged('operations.error');
  }
  return { code, message, retryable };
}

/**
 * A log must also take the names that were refused elsewhere: what PostgreSQL cannot store becomes U+FFFD, so that
 * one such line does not keep a whole batch from being written.
 */
function storable<T extends string | null | undefined>(text: T): T | string {
  return typeof text === 'string' ? text.toWellFormed().replaceAll('\0', '\uFFFD') : text;
}

/** A clock that was set back must not keep a line out of the log. */
function toDuration(millis: number | null): number | null {
  return millis === null ? null : toCount(Math.max(0, Math.round(millis)), 'duration of an operation');
}

function toFlag(value: boolean | null): number | null {
  return value === null ? null : Number(value);
}

/** Undefined stays undefined (no change), null becomes SQL's null. */
function toJson(value: object | null | undefined): string | null | undefined {
  return value === null || value === undefined ? value : JSON.stringify(value);
}
