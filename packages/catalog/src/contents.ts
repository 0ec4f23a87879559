import { sql } from 'kysely';
import type { Kysely, Selectable } from 'kysely';
import { sumOf } from './aggregates.ts';
import { batches } from './batches.ts';
import { fromMillis, toMillis } from './columns.ts';
import { isReferenced } from './contents/references.ts';
import { rowsToFetch } from './cursor.ts';
import type { CatalogDatabase } from './database.ts';
import { hasPrefix } from './host-files/path-prefix.ts';
import type { ContentDamage, ContentState, ContentsTable } from './tables/contents-table.ts';
import type { Schema } from './tables/schema.ts';

export type { ContentDamage };

const BATCH = 500;
/** Contents looked at in one statement: SQLite runs it on the event loop. */
const SCAN_BATCH = 1_000;

/** Bytes known by their SHA-256, kept once over all backends. */
export interface Content {
  sha256: string;
  /** Bytes. */
  size: number;
  backendId: string;
  state: ContentState;
  /** The hub that removes it. */
  removingBy: string | null;
  createdAt: Date;
  /** What a verification found; null: nothing is wrong with it, as far as is known. */
  damage: ContentDamage | null;
}

/** A number of contents, and their size together in bytes. */
export interface ContentTotal {
  contents: number;
  bytes: number;
}

export interface ContentStats extends ContentTotal {
  /** Versions of host files. */
  hostFiles: number;
  /** Their size if each were kept on its own. */
  hostFileBytes: number;
}

export interface UnreferencedOptions {
  /** As if `hostFiles.purge` with this time had run. */
  deletedBefore?: Date;
}

export interface ContentPageOptions {
  after?: string;
  limit: number;
  /** Only these. */
  sha256s?: readonly string[];
  /** Only what a version of a file of this machine has. */
  hostname?: string;
  /** Only what a version of a file has whose path begins with this text. */
  pathPrefix?: string;
}

/** The contents of the vault. Rows are made with the first host file that refers to them, and go in two steps. */
export class Contents {
  readonly #database: CatalogDatabase;

  constructor(database: CatalogDatabase) {
    this.#database = database;
  }

  async get(sha256: string): Promise<Content | null> {
    const row = await this.#database.db
      .selectFrom('contents')
      .selectAll()
      .where('sha256', '=', sha256)
      .executeTakeFirst();
    return row === undefined ? null : toContent(row);
  }

  /** Those that are there, by SHA-256. */
  async getMany(sha256s: readonly string[]): Promise<Map<string, Content>> {
    const found = new Map<string, Content>();
    for (const batch of batches(sha256s, BATCH)) {
      const rows = await this.#database.db
        .selectFrom('contents')
        .selectAll()
        .where('sha256', 'in', batch)
        .execute();
      for (const row of rows) found.set(row.sha256, toContent(row));
    }
    return found;
  }

  /**
   * Stored contents that nothing refers to. Up to `limit` contents are looked at, in the order of their SHA-256, so a page
   * may be empty although there is a next one.
   */
  async unreferenced(
    options: UnreferencedOptions & { after?: string; limit: number },
  ): Promise<{ contents: Content[]; next?: string }> {
    const { after, limit } = options;
    rowsToFetch(limit);
    const deletedBefore = options.deletedBefore === undefined ? undefined : toMillis(options.deletedBefore);
    let query = this.#database.db
      .selectFrom('contents')
      .selectAll()
      .select((eb) =>
        eb
          .case()
          .when(isReferenced(eb, deletedBefore))
          .then(eb.lit(1))
          .else(eb.lit(0))
          .end()
          .as('is_referenced'),
      )
      .orderBy('sha256')
      .limit(limit);
    if (after !== undefined) query = query.where('sha256', '>', after);
    const rows = await query.execute();
    const contents = rows.filter((row) => row.is_referenced === 0 && row.state === 'stored').map(toContent);
    const last = rows.at(-1);
    return rows.length === limit && last !== undefined ? { contents, next: last.sha256 } : { contents };
  }

  /** How many stored contents nothing refers to. */
  async unreferencedTotal(options: UnreferencedOptions = {}): Promise<ContentTotal> {
    const total: ContentTotal = { contents: 0, bytes: 0 };
    let after: string | undefined;
    do {
      const page = await this.unreferenced({
        ...options,
        limit: SCAN_BATCH,
        ...(after === undefined ? {} : { after }),
      });
      total.contents += page.contents.length;
      total.bytes += page.contents.reduce((sum, { size }) => sum + size, 0);
      after = page.next;
    } while (after !== undefined);
    return total;
  }

  /**
   * Marks contents that are to be removed, unless something refers to them at this moment. From now on nothing can refer
   * to those that were marked.
   * @returns those that were marked
   */
  async beginRemoval(sha256s: readonly string[], hubId: string): Promise<Content[]> {
    const { db, dialect } = this.#database;
    const marked: Content[] = [];
    for (const batch of batches([...new Set(sha256s)].toSorted(), BATCH)) {
      const rows = await db.transaction().execute(async (trx) => {
        // First the locks, then the question: what was recorded before the lock was granted is seen by the next statement.
        await trx
          .selectFrom('contents')
          .select('sha256')
          .where('sha256', 'in', batch)
          .orderBy('sha256')
          .$if(dialect === 'postgres', (query) => query.forUpdate())
          .execute();
        return await trx
          .updateTable('contents')
          .set({ state: 'removing', removing_by: hubId })
          .where('sha256', 'in', batch)
          .where('state', '=', 'stored')
          .where((eb) => eb.not(isReferenced(eb)))
          .returningAll()
          .execute();
      });
      marked.push(...rows.map(toContent));
    }
    return marked;
  }

  /** Forgets contents that this hub marked, once their bytes are gone. @returns how many */
  async finishRemoval(sha256s: readonly string[], hubId: string): Promise<number> {
    let removed = 0;
    for (const batch of batches(sha256s, BATCH)) {
      const result = await this.#database.db
        .deleteFrom('contents')
        .where('sha256', 'in', batch)
        .where('state', '=', 'removing')
        .where('removing_by', '=', hubId)
        .executeTakeFirstOrThrow();
      removed += Number(result.numDeletedRows);
    }
    return removed;
  }

  /** Takes the mark of this hub back: the bytes are there. False when there was none. */
  async revive(sha256: string, hubId: string): Promise<boolean> {
    const result = await this.#database.db
      .updateTable('contents')
      .set({ state: 'stored', removing_by: null })
      .where('sha256', '=', sha256)
      .where('state', '=', 'removing')
      .where('removing_by', '=', hubId)
      .executeTakeFirstOrThrow();
    return result.numUpdatedRows > 0n;
  }

  /** Contents that are marked (by one hub), by SHA-256. */
  async removing(hubId?: string): Promise<Content[]> {
    let query = this.#database.db
      .selectFrom('contents')
      .selectAll()
      // Literally, as the index has it.
      .where('state', '=', sql.lit('removing'))
      .orderBy('sha256');
    if (hubId !== undefined) query = query.where('removing_by', '=', hubId);
    return (await query.execute()).map(toContent);
  }

  /**
   * Up to `limit` stored contents in the order of their SHA-256, after `after`; all, or those that the filters leave. A page
   * may hold fewer although there is a next one.
   */
  async page(options: ContentPageOptions): Promise<{ contents: Content[]; next?: string }> {
    const { after, limit, sha256s, hostname, pathPrefix } = options;
    rowsToFetch(limit);
    const named = sha256s === undefined ? undefined : namedAfter(sha256s, after, limit);
    if (named?.length === 0) return { contents: [] };
    let query = this.#database.db
      .selectFrom('contents')
      .selectAll()
      .where('state', '=', 'stored')
      .orderBy('sha256')
      .limit(limit);
    if (after !== undefined) query = query.where('sha256', '>', after);
    if (named !== undefined) query = query.where('sha256', 'in', named);
    if (hostname !== undefined || pathPrefix !== undefined) {
      query = query.where(({ exists, selectFrom }) => {
        let versions = selectFrom('host_files')
          .select('host_files.id')
          .whereRef('host_files.sha256', '=', 'contents.sha256');
        if (hostname !== undefined) versions = versions.where('host_files.hostname', '=', hostname);
        if (pathPrefix !== undefined) versions = versions.where((eb) => hasPrefix(eb, pathPrefix));
        return exists(versions);
      });
    }
    const contents = (await query.execute()).map(toContent);
    const looked = named ?? contents.map(({ sha256 }) => sha256);
    const last = looked.at(-1);
    return looked.length === limit && last !== undefined ? { contents, next: last } : { contents };
  }

  /**
   * Notes what a verification found, or that nothing is wrong (null), while the content is kept where it was looked at.
   * @returns false when that was known, or the content is kept elsewhere or removed by now
   */
  async noteDamage(
    { sha256, backendId }: Pick<Content, 'sha256' | 'backendId'>,
    damage: ContentDamage | null,
  ): Promise<boolean> {
    const result = await this.#database.db
      .updateTable('contents')
      .set({ damage })
      .where('sha256', '=', sha256)
      .where('backend_id', '=', backendId)
      .where('state', '=', 'stored')
      .where(({ eb, or }) =>
        damage === null
          ? eb('damage', 'is not', null)
          : or([eb('damage', 'is', null), eb('damage', '!=', damage)]),
      )
      .executeTakeFirstOrThrow();
    return result.numUpdatedRows > 0n;
  }

  async stats(): Promise<ContentStats> {
    const { db } = this.#database;
    const contents = await totalOf(db);
    const files = await db
      .selectFrom('host_files')
      .select(({ fn, ref }) => [fn.countAll<number>().as('count'), sumOf(ref('size')).as('bytes')])
      .executeTakeFirstOrThrow();
    return { ...contents, hostFiles: files.count, hostFileBytes: files.bytes };
  }

  async countByBackend(backendId: string): Promise<ContentTotal> {
    return await totalOf(this.#database.db, backendId);
  }
}

/** The next of the named ones, in order, as many as a page has. */
function namedAfter(sha256s: readonly string[], after: string | undefined, limit: number): string[] {
  const next = [...new Set(sha256s)].filter((sha256) => after === undefined || sha256 > after).toSorted();
  return next.slice(0, limit);
}

async function totalOf(db: Kysely<Schema>, backendId?: string): Promise<ContentTotal> {
  let query = db
    .selectFrom('contents')
    .select(({ fn, ref }) => [fn.countAll<number>().as('contents'), sumOf(ref('size')).as('bytes')]);
  if (backendId !== undefined) query = query.where('backend_id', '=', backendId);
  return await query.executeTakeFirstOrThrow();
}

function toContent(row: Selectable<ContentsTable>): Content {
  return {
    sha256: row.sha256,
    size: row.size,
    backendId: row.backend_id,
    state: row.state,
    removingBy: row.removing_by,
    createdAt: fromMillis(row.created_at),
    damage: row.damage,
  };
}
