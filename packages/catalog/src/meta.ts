import type { CatalogDatabase } from './database.ts';

/** What the hub remembers about itself: plain strings by key. */
export class Meta {
  readonly #database: CatalogDatabase;

  constructor(database: CatalogDatabase) {
    this.#database = database;
  }

  async get(key: string): Promise<string | null> {
    const row = await this.#database.db
      .selectFrom('meta')
      .select('value')
      .where('key', '=', key)
      .executeTakeFirst();
    return row?.value ?? null;
  }

  async set(key: string, value: string): Promise<void> {
    await this.#database.db
      .insertInto('meta')
      .values({ key, value })
      .onConflict((conflict) => conflict.column('key').doUpdateSet({ value }))
      .execute();
  }

  /** The value of a key; when there is none, `make` gives it. Of several callers at once all get the same value. */
  async getOrSet(key: string, make: () => string): Promise<string> {
    const found = await this.get(key);
    if (found !== null) return found;
    // The update changes nothing, but makes the statement return the row that won.
    const row = await this.#database.db
      .insertInto('meta')
      .values({ key, value: make() })
      .onConflict((conflict) =>
        conflict.column('key').doUpdateSet(({ ref }) => ({ value: ref('meta.value') })),
      )
      .returning('value')
      .executeTakeFirstOrThrow();
    return row.value;
  }
}
