import { startPostgres } from '@holdfast/test-support/postgres';
import type { PostgresServer } from '@holdfast/test-support/postgres';
import { makeTempDir } from '@holdfast/test-support/temp-dir';
import type { TempDir } from '@holdfast/test-support/temp-dir';
import { Kysely } from 'kysely';
import { afterAll, afterEach, beforeAll, describe } from 'vitest';
import { openCatalog } from './catalog.ts';
import type { Catalog } from './catalog.ts';
import type { DialectName } from './migrations/migration.ts';
import { openPostgres } from './postgres.ts';
import { openSqlite } from './sqlite.ts';
import type { Schema } from './tables/schema.ts';

/** What a test body gets, once for each database. */
export interface DialectFixture {
  readonly dialect: DialectName;
  /** The URL of an empty database of its own. */
  freshUrl(): Promise<string>;
  /** A catalog on a fresh database, or on the given one; closed after the test. */
  open(url?: string): Promise<Catalog>;
  /** The tables themselves; closed after the test. */
  tables(url: string): Promise<Kysely<Schema>>;
}

/** Runs the same tests against a SQLite file and a real PostgreSQL server. */
export function describeDialects(body: (fixture: DialectFixture) => void): void {
  describe.each(['sqlite', 'postgres'] as const)('%s', (dialect) => {
    let server: PostgresServer | undefined;
    let folder: TempDir;
    let files = 0;
    const opened: AsyncDisposable[] = [];

    beforeAll(async () => {
      folder = await makeTempDir('catalog');
      if (dialect === 'postgres') server = await startPostgres();
    });
    afterEach(async () => {
      await Promise.all(opened.splice(0).map((open) => open[Symbol.asyncDispose]()));
    });
    afterAll(async () => {
      await server?.dispose();
      await folder[Symbol.asyncDispose]();
    });

    async function freshUrl(): Promise<string> {
      if (server !== undefined) return await server.createDatabase();
      files += 1;
      return `sqlite:${folder.join(`catalog-${files}.db`)}`;
    }

    body({
      dialect,
      freshUrl,
      async open(url) {
        const catalog = await openCatalog({ url: url ?? (await freshUrl()) });
        opened.push(catalog);
        return catalog;
      },
      async tables(url) {
        const path = url.startsWith('sqlite:') ? url.slice('sqlite:'.length) : null;
        const db = new Kysely<Schema>({
          dialect: path === null ? openPostgres(url, undefined) : (await openSqlite(path, undefined)).dialect,
        });
        opened.push(db);
        return db;
      },
    });
  });
}
