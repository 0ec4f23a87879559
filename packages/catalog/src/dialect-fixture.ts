import { startPostgres } from '@holdfast/test-support/postgres';
import type { PostgresServer } from '@holdfast/test-support/postgres';
import { makeTempDir } from '@holdfast/test-support/temp-dir';
import type { TempDir } from '@holdfast/test-support/temp-dir';
import { afterAll, afterEach, beforeAll, describe } from 'vitest';
import { openCatalog } from './catalog.ts';
import type { Catalog } from './catalog.ts';
import type { DialectName } from './migrations/migration.ts';

/** What a test body gets, once for each database. */
export interface DialectFixture {
  readonly dialect: DialectName;
  /** The URL of an empty database of its own. */
  freshUrl(): Promise<string>;
  /** A catalog on a fresh database, or on the given one; closed after the test. */
  open(url?: string): Promise<Catalog>;
}

/** Runs the same tests against a SQLite file and a real PostgreSQL server. */
export function describeDialects(body: (fixture: DialectFixture) => void): void {
  describe.each(['sqlite', 'postgres'] as const)('%s', (dialect) => {
    let server: PostgresServer | undefined;
    let folder: TempDir;
    let files = 0;
    const opened: Catalog[] = [];

    beforeAll(async () => {
      folder = await makeTempDir('catalog');
      if (dialect === 'postgres') server = await startPostgres();
    });
    afterEach(async () => {
      await Promise.all(opened.splice(0).map((catalog) => catalog[Symbol.asyncDispose]()));
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
    });
  });
}
