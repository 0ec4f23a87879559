import { randomUUID } from 'node:crypto';
import { HoldfastError } from '@holdfast/contract/errors';
import { sql } from 'kysely';
import type { Expression, ExpressionBuilder, Insertable, Kysely, Selectable, SqlBool } from 'kysely';
import { fromMillis, toCount, toMillis } from './columns.ts';
import { decodeTextCursor, encodeTextCursor, rowsToFetch, toPage } from './cursor.ts';
import type { Page } from './cursor.ts';
import { violationOf } from './database-error.ts';
import { hotLookup } from './database.ts';
import type { CatalogDatabase, HotLookup } from './database.ts';
import { assertStorablePath, isInTree, pathKey, sortPrefix, treeRoot } from './path-key.ts';
import type { ChecksumsTable } from './tables/checksums-table.ts';
import type { Schema } from './tables/schema.ts';

/** Keys or rows in one statement, well below the parameters that both databases allow. */
const BATCH = 500;
const CONTENT_LIST = 'content';

/** What the index `checksums_tree` orders by; the text must be the same as in its migration. */
const indexedPath = sql<string>`substr(path, 1, 512)`;

/** What is known about the bytes at a path of a backend. */
export interface ChecksumRecord {
  backendId: string;
  path: string;
  /** Lower-case hex. */
  sha256: string;
  /** Bytes. */
  size: number;
  /** The validator of the file that the digest was computed for; another one means that the record is stale. */
  validator: string;
  computedAt: Date;
}

/**
 * Checksum records by backend and path. Paths are compared byte by byte: case, Unicode form, `%` and `_` mean
 * nothing else than themselves. Methods that take paths throw HoldfastError `invalid_path` for NUL or broken Unicode.
 */
export class Checksums {
  readonly #database: CatalogDatabase;
  readonly #lookup: HotLookup<Selectable<ChecksumsTable>>;

  constructor(database: CatalogDatabase) {
    this.#database = database;
    const query = database.db
      .selectFrom('checksums')
      .selectAll()
      .where('backend_id', '=', '')
      .where('path_key', '=', '')
      .compile();
    this.#lookup = hotLookup(database, query);
  }

  async get(backendId: string, path: string): Promise<ChecksumRecord | null> {
    assertStorablePath(path);
    const row = await this.#lookup(backendId, pathKey(path));
    return row === undefined ? null : toRecord(row);
  }

  /** The records that exist among the paths, by path. */
  async getMany(backendId: string, paths: readonly string[]): Promise<Map<string, ChecksumRecord>> {
    const records = new Map<string, ChecksumRecord>();
    for (const keys of keyBatches(paths)) {
      const rows = await this.#database.db
        .selectFrom('checksums')
        .selectAll()
        .where('backend_id', '=', backendId)
        .where('path_key', 'in', keys)
        .execute();
      for (const row of rows) records.set(row.path, toRecord(row));
    }
    return records;
  }

  /**
   * Writes the record of a path, in place of an earlier one.
   * @throws HoldfastError `backend_not_found` when the backend was removed meanwhile
   */
  async put(record: ChecksumRecord): Promise<void> {
    await this.putMany([record]);
  }

  /**
   * Writes many records, all or none; of two for the same path the later one counts.
   * @throws HoldfastError `backend_not_found` when a backend was removed meanwhile
   */
  async putMany(records: readonly ChecksumRecord[]): Promise<void> {
    const byKey = new Map<string, Insertable<ChecksumsTable>>();
    for (const record of records) {
      assertStorablePath(record.path);
      const row = toRow(record);
      byKey.set(`${row.backend_id}\n${row.path_key}`, row);
    }
    // In one order for everybody: two writers of the same rows then wait for each other instead of deadlocking.
    const rows = [...byKey.entries()].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
    const { db } = this.#database;
    try {
      if (rows.length <= BATCH) await upsert(db, rows);
      else {
        await db.transaction().execute(async (trx) => {
          for (let start = 0; start < rows.length; start += BATCH) {
            await upsert(trx, rows.slice(start, start + BATCH));
          }
        });
      }
    } catch (error) {
      if (violationOf(error)?.kind !== 'foreign_key') throw error;
      const ids = [...new Set(records.map((record) => record.backendId))].join(', ');
      throw new HoldfastError('backend_not_found', `There is no backend with the id ${ids} (any more).`, {
        cause: error,
      });
    }
  }

  /** @returns how many records were removed */
  async removePaths(backendId: string, paths: readonly string[]): Promise<number> {
    let removed = 0;
    for (const keys of keyBatches(paths)) {
      const result = await this.#database.db
        .deleteFrom('checksums')
        .where('backend_id', '=', backendId)
        .where('path_key', 'in', keys)
        .executeTakeFirstOrThrow();
      removed += Number(result.numDeletedRows);
    }
    return removed;
  }

  /**
   * Removes the record of a path and of everything below it.
   * @returns how many records were removed
   */
  async removeTree(backendId: string, path: string): Promise<number> {
    assertStorablePath(path);
    return await removeTree(this.#database.db, backendId, treeRoot(path));
  }

  /**
   * Moves the record of a path, and of everything below it, in place of what was recorded at the destination.
   * Everything but the path stays as it is.
   * @returns how many records were moved
   */
  async moveTree(backendId: string, from: string, to: string): Promise<number> {
    assertStorablePath(from);
    assertStorablePath(to);
    const source = treeRoot(from);
    const target = treeRoot(to);
    if (source === target) return 0;
    return await this.#database.db.transaction().execute(async (trx) => {
      if (!isInTree(source, target) && !isInTree(target, source)) {
        await removeTree(trx, backendId, target);
        return await this.#rename(trx, backendId, source, target);
      }
      // One lies inside the other (an object store allows that): by way of a place that no real path has.
      const aside = `moving:${randomUUID()}`;
      const moved = await this.#rename(trx, backendId, source, aside);
      await removeTree(trx, backendId, target);
      await this.#rename(trx, backendId, aside, target);
      return moved;
    });
  }

  /** Where a content is recorded, on any backend. The order is stable but means nothing. */
  async findBySha256(
    sha256: string,
    options: { limit: number; cursor?: string },
  ): Promise<Page<ChecksumRecord>> {
    const after = options.cursor === undefined ? null : decodeTextCursor(CONTENT_LIST, options.cursor);
    let query = this.#database.db
      .selectFrom('checksums')
      .selectAll()
      .where('sha256', '=', sha256)
      .orderBy('backend_id')
      .orderBy('path_key')
      .limit(rowsToFetch(options.limit));
    if (after !== null) {
      query = query.where(({ eb, refTuple, tuple }) =>
        eb(refTuple('backend_id', 'path_key'), '>', tuple(after.first, after.second)),
      );
    }
    return toPage(await query.execute(), options.limit, toRecord, (row) =>
      encodeTextCursor(CONTENT_LIST, { first: row.backend_id, second: row.path_key }),
    );
  }

  /** Up to `limit` records of a backend in the order of their paths (by UTF-8 bytes), after the path `after`. */
  async page(backendId: string, options: { after?: string; limit: number }): Promise<ChecksumRecord[]> {
    const { after, limit } = options;
    rowsToFetch(limit);
    let query = this.#database.db
      .selectFrom('checksums')
      .selectAll()
      .where('backend_id', '=', backendId)
      .orderBy(indexedPath)
      .orderBy('path')
      .limit(limit);
    if (after !== undefined) {
      assertStorablePath(after);
      query = query.where(indexedPath, '>=', sortPrefix(after)).where('path', '>', after);
    }
    return (await query.execute()).map(toRecord);
  }

  async count(backendId: string): Promise<number> {
    const row = await this.#database.db
      .selectFrom('checksums')
      .select(({ fn }) => fn.countAll<number>().as('count'))
      .where('backend_id', '=', backendId)
      .executeTakeFirstOrThrow();
    return row.count;
  }

  async #rename(db: Kysely<Schema>, backendId: string, source: string, target: string): Promise<number> {
    const path = sql<string>`${target} || substr(path, ${sql.lit(characters(source) + 1)})`;
    const key =
      this.#database.dialect === 'postgres'
        ? sql<string>`encode(sha256(convert_to(${path}, 'UTF8')), 'hex')`
        : sql<string>`path_key(${path})`;
    const result = await db
      .updateTable('checksums')
      .set({ path, path_key: key })
      .where('backend_id', '=', backendId)
      .where((eb) => inTree(eb, source))
      .executeTakeFirstOrThrow();
    return Number(result.numUpdatedRows);
  }
}

async function upsert(db: Kysely<Schema>, rows: readonly Insertable<ChecksumsTable>[]): Promise<void> {
  if (rows.length === 0) return;
  await db
    .insertInto('checksums')
    .values(rows)
    .onConflict((conflict) =>
      conflict.columns(['backend_id', 'path_key']).doUpdateSet(({ ref }) => ({
        sha256: ref('excluded.sha256'),
        size: ref('excluded.size'),
        validator: ref('excluded.validator'),
        computed_at: ref('excluded.computed_at'),
      })),
    )
    .execute();
}

async function removeTree(db: Kysely<Schema>, backendId: string, root: string): Promise<number> {
  const result = await db
    .deleteFrom('checksums')
    .where('backend_id', '=', backendId)
    .where((eb) => inTree(eb, root))
    .executeTakeFirstOrThrow();
  return Number(result.numDeletedRows);
}

/**
 * The root itself, or a path between `root/` and `root0`: `0` is the character after `/`, so that is exactly what
 * begins with `root/`. The bounds on the indexed characters follow from the others and let the index be used.
 */
function inTree(eb: ExpressionBuilder<Schema, 'checksums'>, root: string): Expression<SqlBool> {
  const first = `${root}/`;
  const end = `${root}0`;
  return eb.or([
    eb('path_key', '=', pathKey(root)),
    eb.and([
      eb(indexedPath, '>=', sortPrefix(first)),
      eb(indexedPath, '<=', sortPrefix(end)),
      eb('path', '>=', first),
      eb('path', '<', end),
    ]),
  ]);
}

/** Characters as SQL's `substr` counts them. */
function characters(text: string): number {
  return Array.from(text).length;
}

function* keyBatches(paths: readonly string[]): Generator<string[]> {
  for (let start = 0; start < paths.length; start += BATCH) {
    yield paths.slice(start, start + BATCH).map((path) => {
      assertStorablePath(path);
      return pathKey(path);
    });
  }
}

function toRow(record: ChecksumRecord): Insertable<ChecksumsTable> {
  return {
    backend_id: record.backendId,
    path_key: pathKey(record.path),
    path: record.path,
    sha256: record.sha256,
    size: toCount(record.size, 'size of a file'),
    validator: record.validator,
    computed_at: toMillis(record.computedAt),
  };
}

function toRecord(row: Selectable<ChecksumsTable>): ChecksumRecord {
  return {
    backendId: row.backend_id,
    path: row.path,
    sha256: row.sha256,
    size: row.size,
    validator: row.validator,
    computedAt: fromMillis(row.computed_at),
  };
}
