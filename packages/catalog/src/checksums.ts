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
import { HEAD_CHARACTERS, assertStorablePath, isInTree, pathHead, pathKey, treeRoot } from './path-key.ts';
import type { ChecksumsTable } from './tables/checksums-table.ts';
import type { Schema } from './tables/schema.ts';

/** Keys or rows in one statement, well below the parameters that both databases allow. */
const BATCH = 500;
const CONTENT_LIST = 'content';

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
      .where('path_head', '=', '')
      .where('path_tail', '=', '')
      .compile();
    this.#lookup = hotLookup(database, query);
  }

  async get(backendId: string, path: string): Promise<ChecksumRecord | null> {
    assertStorablePath(path);
    const { head, tail } = pathKey(path);
    const row = await this.#lookup(backendId, head, tail);
    return row === undefined ? null : toRecord(row);
  }

  /** The records that exist among the paths, by path. */
  async getMany(backendId: string, paths: readonly string[]): Promise<Map<string, ChecksumRecord>> {
    const records = new Map<string, ChecksumRecord>();
    for (const { heads, tail } of keyBatches(paths)) {
      const rows = await this.#database.db
        .selectFrom('checksums')
        .selectAll()
        .where('backend_id', '=', backendId)
        .where('path_head', 'in', heads)
        .where('path_tail', '=', tail)
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
      byKey.set(`${row.backend_id}\n${row.path}`, row);
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
    for (const { heads, tail } of keyBatches(paths)) {
      const result = await this.#database.db
        .deleteFrom('checksums')
        .where('backend_id', '=', backendId)
        .where('path_head', 'in', heads)
        .where('path_tail', '=', tail)
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

  /** Where a content is recorded, on any backend or below one folder of one: by backend id, then by path. */
  async findBySha256(
    sha256: string,
    options: { limit: number; cursor?: string; backendId?: string; folder?: string },
  ): Promise<Page<ChecksumRecord>> {
    const { backendId, folder } = options;
    const after = options.cursor === undefined ? null : decodeTextCursor(CONTENT_LIST, options.cursor);
    let query = this.#database.db
      .selectFrom('checksums')
      .selectAll()
      .where('sha256', '=', sha256)
      .orderBy('backend_id')
      .orderBy('path_head')
      .orderBy('path_tail')
      .limit(rowsToFetch(options.limit));
    if (backendId !== undefined) query = query.where('backend_id', '=', backendId);
    if (folder !== undefined) query = query.where((eb) => inTree(eb, treeRoot(folder)));
    if (after !== null) {
      const { head, tail } = pathKey(after.second);
      query = query.where(({ eb, refTuple, tuple }) =>
        // With the digest in it, PostgreSQL does not take the primary key for the better way.
        eb(
          refTuple('sha256', 'backend_id', 'path_head', 'path_tail'),
          '>',
          tuple(sha256, after.first, head, tail),
        ),
      );
    }
    return toPage(await query.execute(), options.limit, toRecord, (row) =>
      encodeTextCursor(CONTENT_LIST, { first: row.backend_id, second: row.path }),
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
      .orderBy('path_head')
      .orderBy('path')
      .limit(limit);
    if (after !== undefined) {
      assertStorablePath(after);
      query = query.where('path_head', '>=', pathHead(after)).where('path', '>', after);
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
    const rest = sql<string>`substr(${path}, ${sql.lit(HEAD_CHARACTERS + 1)})`;
    const digest =
      this.#database.dialect === 'postgres'
        ? sql<string>`encode(sha256(convert_to(${rest}, 'UTF8')), 'hex')`
        : sql<string>`sha256_hex(${rest})`;
    const result = await db
      .updateTable('checksums')
      .set({
        path,
        path_head: sql<string>`substr(${path}, 1, ${sql.lit(HEAD_CHARACTERS)})`,
        path_tail: sql<string>`case when ${rest} = '' then '' else ${digest} end`,
      })
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
      conflict.columns(['backend_id', 'path_head', 'path_tail']).doUpdateSet(({ ref }) => ({
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
 * begins with `root/`. The bounds on the head follow from the others and let the index be used.
 */
function inTree(eb: ExpressionBuilder<Schema, 'checksums'>, root: string): Expression<SqlBool> {
  const first = `${root}/`;
  const end = `${root}0`;
  const { head, tail } = pathKey(root);
  return eb.or([
    eb.and([eb('path_head', '=', head), eb('path_tail', '=', tail)]),
    eb.and([
      eb('path_head', '>=', pathHead(first)),
      eb('path_head', '<=', pathHead(end)),
      eb('path', '>=', first),
      eb('path', '<', end),
    ]),
  ]);
}

/** Characters as SQL's `substr` counts them. */
function characters(text: string): number {
  return Array.from(text).length;
}

/**
 * The keys of the paths, by equal tails: nearly all have none and so go together. (With an OR over both kinds SQLite
 * would read the whole backend.)
 */
function* keyBatches(paths: readonly string[]): Generator<{ heads: string[]; tail: string }> {
  for (const path of paths) assertStorablePath(path);
  const headsByTail = Map.groupBy(
    paths.map((path) => pathKey(path)),
    ({ tail }) => tail,
  );
  for (const [tail, keys] of headsByTail) {
    for (let start = 0; start < keys.length; start += BATCH) {
      yield { heads: keys.slice(start, start + BATCH).map(({ head }) => head), tail };
    }
  }
}

function toRow(record: ChecksumRecord): Insertable<ChecksumsTable> {
  const { head, tail } = pathKey(record.path);
  return {
    backend_id: record.backendId,
    path_head: head,
    path_tail: tail,
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
