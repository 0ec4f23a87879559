import type Database from 'better-sqlite3';
import type { CompiledQuery, Kysely } from 'kysely';
import { databaseError } from './database-error.ts';
import type { DialectName } from './migrations/migration.ts';
import type { Schema } from './tables/schema.ts';

export interface CatalogLogger {
  info(message: string): void;
  warn(message: string): void;
}

/** What each table's class works with. */
export interface CatalogDatabase {
  readonly dialect: DialectName;
  readonly db: Kysely<Schema>;
  /** The connection that `db` uses, with SQLite. */
  readonly sqlite: Database.Database | null;
}

/** A query that finds at most one row, asked so often that Kysely's way is too long. */
export type HotLookup<Row> = (...parameters: string[]) => Promise<Row | undefined>;

/**
 * A lookup from a compiled query; its parameters are given anew with each call.
 * With SQLite it is a prepared statement run at once, unless a transaction is open on the connection: then it waits
 * its turn like any query, so that it never sees what is not committed.
 */
export function hotLookup<Row>(database: CatalogDatabase, query: CompiledQuery<Row>): HotLookup<Row> {
  const viaKysely: HotLookup<Row> = async (...parameters) =>
    (await database.db.executeQuery<Row>({ ...query, parameters })).rows[0];
  const { sqlite } = database;
  if (sqlite === null) return viaKysely;

  const statement = sqlite.prepare<string[], Row>(query.sql);
  return async (...parameters) => {
    if (sqlite.inTransaction) return await viaKysely(...parameters);
    try {
      return statement.get(...parameters);
    } catch (error) {
      throw databaseError(error);
    }
  };
}
