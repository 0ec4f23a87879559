import { parseJson } from './columns.ts';
import type { CatalogDatabase } from './database.ts';
import { lockForTransaction } from './transaction-lock.ts';

const VERSION_KEY = 'settings_version';

/** The settings that were ever set, by name. Defaults and meaning are the hub's. */
export class Settings {
  readonly #database: CatalogDatabase;

  constructor(database: CatalogDatabase) {
    this.#database = database;
  }

  async getAll(): Promise<Record<string, unknown>> {
    const rows = await this.#database.db.selectFrom('settings').selectAll().orderBy('key').execute();
    return Object.fromEntries(rows.map((row) => [row.key, parseJson(row.value, 'settings.value')]));
  }

  /**
   * Sets all entries or none. Null is a value of its own; an entry that is undefined is left as it is.
   * Each call that sets something raises `version` by one.
   */
  async setMany(entries: Record<string, unknown>): Promise<void> {
    const rows = Object.entries(entries)
      .filter(([, value]) => value !== undefined)
      .map(([key, value]) => ({ key, value: JSON.stringify(value) }));
    if (rows.length === 0) return;
    const { db, dialect } = this.#database;
    await db.transaction().execute(async (trx) => {
      // Two hubs that set the same names in another order would deadlock, and the version is read before written.
      await lockForTransaction(trx, dialect, 'settings');
      await trx
        .insertInto('settings')
        .values(rows)
        .onConflict((conflict) =>
          conflict.column('key').doUpdateSet(({ ref }) => ({ value: ref('excluded.value') })),
        )
        .execute();
      const found = await trx
        .selectFrom('meta')
        .select('value')
        .where('key', '=', VERSION_KEY)
        .executeTakeFirst();
      const value = String(Number(found?.value ?? 0) + 1);
      await trx
        .insertInto('meta')
        .values({ key: VERSION_KEY, value })
        .onConflict((conflict) => conflict.column('key').doUpdateSet({ value }))
        .execute();
    });
  }

  /** How many times settings were changed, by any hub: when it grew, read them again. */
  async version(): Promise<number> {
    const row = await this.#database.db
      .selectFrom('meta')
      .select('value')
      .where('key', '=', VERSION_KEY)
      .executeTakeFirst();
    return Number(row?.value ?? 0);
  }
}
