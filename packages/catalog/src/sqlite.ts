import { createHash } from 'node:crypto';
import { isAbsolute } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { HoldfastError } from '@holdfast/contract/errors';
import Database from 'better-sqlite3';
import { CompiledQuery, SqliteDialect, SqliteDriver } from 'kysely';
import type { DatabaseConnection, Driver, SqliteDatabase, SqliteStatement } from 'kysely';
import { databaseError, isBusy } from './database-error.ts';
import type { CatalogLogger } from './database.ts';
import { GuardedDialect } from './guarded-dialect.ts';

/** How long SQLite itself may wait for another process, blocking the event loop; after that we wait beside it. */
const BUSY_TIMEOUT_MS = 25;
/** How long a statement is tried again while another process or another opener of this one is writing. */
const BUSY_PATIENCE_MS = 15_000;
const BUSY_PAUSE_MS = 10;
const MOST_STATEMENTS = 256;
/** SQLite's own default of 2 MiB reads the index anew once it holds some ten thousand files. */
const CACHE_KIB = 32 * 1024;
/** SQLite's own default of 1,000 pages writes the same index pages back after nearly each batch of files; 32 MiB. */
const CHECKPOINT_PAGES = 8_000;

export interface OpenSqlite {
  dialect: GuardedDialect;
  connection: Database.Database;
}

/**
 * Opens (and makes, when missing) the file: WAL, every commit synced to the disk, foreign keys enforced.
 * @param path an absolute path, or `:memory:`
 * @throws HoldfastError `internal` when the file cannot be opened or is no database
 */
export async function openSqlite(path: string, logger: CatalogLogger | undefined): Promise<OpenSqlite> {
  if (path !== ':memory:' && !isAbsolute(path)) {
    throw new HoldfastError('internal', `The catalog's path must be absolute: sqlite:${path} is not.`);
  }
  let connection: Database.Database | undefined;
  try {
    const opened = new Database(path, { timeout: BUSY_TIMEOUT_MS });
    connection = opened;
    const mode = await whenNotBusy(() => opened.pragma('journal_mode = WAL', { simple: true }));
    if (mode !== 'wal' && path !== ':memory:') {
      logger?.warn(
        `The filesystem of ${path} does not support SQLite's WAL (journal mode ${String(mode)}): writes are slower.`,
      );
    }
    opened.pragma('synchronous = FULL');
    opened.pragma('foreign_keys = ON');
    opened.pragma(`cache_size = -${CACHE_KIB}`);
    opened.pragma(`wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
    opened.function('sha256_hex', { deterministic: true }, (text: unknown) =>
      createHash('sha256').update(String(text)).digest('hex'),
    );
    const dialect = new GuardedDialect(
      new ImmediateSqliteDialect(new StatementCache(opened)),
      async (statement) => {
        try {
          return await whenNotBusy(statement);
        } catch (error) {
          throw databaseError(error);
        }
      },
    );
    return { dialect, connection: opened };
  } catch (error) {
    connection?.close();
    const reason = error instanceof Error ? error.message : String(error);
    throw new HoldfastError(
      'internal',
      `The catalog ${path} cannot be opened: ${reason}. Check that its folder exists, that it may be written, and that the file is a SQLite database.`,
      { cause: error },
    );
  }
}

/**
 * SQLite's own busy timeout would block the event loop, and so the very transaction of this process that holds
 * the lock; waiting between attempts lets it finish.
 */
async function whenNotBusy<T>(statement: () => T | Promise<T>): Promise<T> {
  const giveUpAt = performance.now() + BUSY_PATIENCE_MS;
  for (;;) {
    try {
      return await statement();
    } catch (error) {
      if (!isBusy(error) || performance.now() > giveUpAt) throw error;
      await delay(BUSY_PAUSE_MS * (0.5 + Math.random()));
    }
  }
}

/** Kysely prepares each statement anew; most of ours are the same few. */
class StatementCache implements SqliteDatabase {
  readonly #connection: Database.Database;
  readonly #statements = new Map<string, SqliteStatement>();

  constructor(connection: Database.Database) {
    this.#connection = connection;
  }

  prepare(text: string): SqliteStatement {
    let statement = this.#statements.get(text);
    if (statement === undefined) {
      statement = this.#connection.prepare(text);
      if (this.#statements.size >= MOST_STATEMENTS) {
        for (const oldest of this.#statements.keys()) {
          this.#statements.delete(oldest);
          break;
        }
      }
    } else {
      this.#statements.delete(text);
    }
    this.#statements.set(text, statement);
    return statement;
  }

  close(): void {
    this.#connection.close();
  }

  get inTransaction(): boolean {
    return this.#connection.inTransaction;
  }
}

class ImmediateSqliteDialect extends SqliteDialect {
  readonly #database: StatementCache;

  constructor(database: StatementCache) {
    super({ database });
    this.#database = database;
  }

  override createDriver(): Driver {
    return new ImmediateSqliteDriver(this.#database);
  }
}

/**
 * A deferred transaction that reads and then writes fails at once when another process wrote in between; taking
 * the write lock at the start waits instead (https://www.sqlite.org/lang_transaction.html, "IMMEDIATE").
 */
class ImmediateSqliteDriver extends SqliteDriver {
  readonly #database: StatementCache;

  constructor(database: StatementCache) {
    super({ database });
    this.#database = database;
  }

  override async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw('begin immediate'));
  }

  /** After a full disk, say, SQLite has rolled back by itself; to be told so again would hide the reason. */
  override async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    if (this.#database.inTransaction) await super.rollbackTransaction(connection);
  }
}
