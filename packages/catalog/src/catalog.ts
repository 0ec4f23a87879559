import { HoldfastError } from '@holdfast/contract/errors';
import { Kysely, sql } from 'kysely';
import { Backends } from './backends.ts';
import { Checksums } from './checksums.ts';
import { Contents } from './contents.ts';
import type { CatalogDatabase, CatalogLogger } from './database.ts';
import { HostFiles } from './host-files.ts';
import { Keys } from './keys.ts';
import { Meta } from './meta.ts';
import { migrate } from './migrations/migrate.ts';
import type { DialectName } from './migrations/migration.ts';
import { migrations } from './migrations/migrations.ts';
import { Nodes } from './nodes.ts';
import { Operations } from './operations.ts';
import { openPostgres } from './postgres.ts';
import { Settings } from './settings.ts';
import { openSqlite } from './sqlite.ts';
import type { Schema } from './tables/schema.ts';
import { Uploads } from './uploads.ts';
import { Workflows } from './workflows.ts';

export interface CatalogOptions {
  /** `sqlite:` with an absolute path (taken literally), `sqlite::memory:`, `postgres://…` or `postgresql://…`. */
  url: string;
  logger?: CatalogLogger;
}

/**
 * What the hub knows, in SQLite or PostgreSQL. While it is open, every method rejects with a HoldfastError only: besides the codes it names,
 * `internal` (retryable when the database did not answer) and `storage_full`.
 */
export interface Catalog extends AsyncDisposable {
  readonly dialect: DialectName;
  /** The number of the newest migration. */
  readonly schemaVersion: number;
  readonly backends: Backends;
  readonly checksums: Checksums;
  readonly settings: Settings;
  readonly meta: Meta;
  readonly nodes: Nodes;
  readonly workflows: Workflows;
  readonly keys: Keys;
  readonly operations: Operations;
  readonly uploads: Uploads;
  readonly contents: Contents;
  readonly hostFiles: HostFiles;
  /** Resolves when the database answers. */
  ping(): Promise<void>;
}

/**
 * Opens the database and brings its schema up to date. Several openers at once, of several processes or hubs, are
 * safe: one migrates, the others wait.
 * @throws HoldfastError `internal` when it cannot be opened, or was written by a newer release
 */
export async function openCatalog(options: CatalogOptions): Promise<Catalog> {
  const database = await openDatabase(options);
  try {
    const schemaVersion = await migrate(database.db, {
      dialect: database.dialect,
      migrations,
      onApply: ({ version, name }) =>
        options.logger?.info(`Migrating the catalog to schema version ${version} (${name})`),
    });
    return new OpenedCatalog(database, schemaVersion);
  } catch (error) {
    await database.db.destroy();
    throw error;
  }
}

async function openDatabase({ url, logger }: CatalogOptions): Promise<CatalogDatabase> {
  const sqlitePath = /^sqlite:(.+)$/s.exec(url)?.[1];
  if (sqlitePath !== undefined) {
    const { dialect, connection } = await openSqlite(sqlitePath, logger);
    return { dialect: 'sqlite', db: new Kysely<Schema>({ dialect }), sqlite: connection };
  }
  if (/^postgres(ql)?:\/\//.test(url)) {
    return {
      dialect: 'postgres',
      db: new Kysely<Schema>({ dialect: openPostgres(url, logger) }),
      sqlite: null,
    };
  }
  // Not shown: a URL that is only mistyped may hold a password.
  throw new HoldfastError(
    'internal',
    'The database URL must be sqlite: followed by an absolute path, or begin with postgres:// or postgresql://.',
  );
}

class OpenedCatalog implements Catalog {
  readonly dialect: DialectName;
  readonly schemaVersion: number;
  readonly backends: Backends;
  readonly checksums: Checksums;
  readonly settings: Settings;
  readonly meta: Meta;
  readonly nodes: Nodes;
  readonly workflows: Workflows;
  readonly keys: Keys;
  readonly operations: Operations;
  readonly uploads: Uploads;
  readonly contents: Contents;
  readonly hostFiles: HostFiles;
  readonly #db: Kysely<Schema>;

  constructor(database: CatalogDatabase, schemaVersion: number) {
    this.dialect = database.dialect;
    this.schemaVersion = schemaVersion;
    this.backends = new Backends(database);
    this.checksums = new Checksums(database);
    this.settings = new Settings(database);
    this.meta = new Meta(database);
    this.nodes = new Nodes(database);
    this.workflows = new Workflows(database);
    this.keys = new Keys(database);
    this.operations = new Operations(database);
    this.uploads = new Uploads(database);
    this.contents = new Contents(database);
    this.hostFiles = new HostFiles(database);
    this.#db = database.db;
  }

  async ping(): Promise<void> {
    await sql`select 1`.execute(this.#db);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#db.destroy();
  }
}
