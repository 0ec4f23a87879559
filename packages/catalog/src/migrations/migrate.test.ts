import { HoldfastError } from '@holdfast/contract/errors';
import { Kysely, sql } from 'kysely';
import { expect, test } from 'vitest';
import { openCatalog } from '../catalog.ts';
import { describeDialects } from '../dialect-fixture.ts';
import { openPostgres } from '../postgres.ts';
import { openSqlite } from '../sqlite.ts';
import type { Schema } from '../tables/schema.ts';
import { migrate } from './migrate.ts';
import type { Migration } from './migration.ts';
import { migrations } from './migrations.ts';

async function connect(url: string): Promise<Kysely<Schema>> {
  const path = url.startsWith('sqlite:') ? url.slice('sqlite:'.length) : null;
  const dialect = path === null ? openPostgres(url, undefined) : (await openSqlite(path, undefined)).dialect;
  return new Kysely<Schema>({ dialect });
}

const addNotes: Migration = {
  version: migrations.length + 1,
  name: 'notes',
  async up(db) {
    await db.schema.createTable('notes').addColumn('id', 'text').execute();
  },
};
const broken: Migration = {
  version: migrations.length + 2,
  name: 'broken',
  async up(db) {
    await db.schema.createTable('half_done').addColumn('id', 'text').execute();
    await sql`select * from no_such_table`.execute(db);
  },
};

test('the steps are numbered from one without a gap', () => {
  expect(migrations.map(({ version }) => version)).toEqual(migrations.map((_, index) => index + 1));
});

describeDialects(({ dialect, freshUrl }) => {
  test('each step is applied once', async () => {
    await using db = await connect(await freshUrl());
    const applied: string[] = [];
    const onApply = ({ name }: Migration): void => void applied.push(name);
    expect(await migrate(db, { dialect, migrations, onApply })).toBe(migrations.length);
    expect(await migrate(db, { dialect, migrations, onApply })).toBe(migrations.length);
    expect(await migrate(db, { dialect, migrations: [...migrations, addNotes], onApply })).toBe(
      migrations.length + 1,
    );
    expect(applied).toEqual(['spine', 'uploads', 'destinations', 'notes']);
  });

  test('an older catalog keeps what it has', async () => {
    await using db = await connect(await freshUrl());
    await migrate(db, { dialect, migrations: migrations.slice(0, 1) });
    await sql`insert into keys (id, name, hash, hint, scopes, origin, created_at)
      values ('k', 'old', 'h', 'abcd', '["admin"]', 'issued', 1)`.execute(db);
    await migrate(db, { dialect, migrations });
    expect(await db.selectFrom('keys').selectAll().execute()).toMatchObject([
      { id: 'k', name: 'old', hostname: null, quota_bytes: null, quota_files: null },
    ]);
  });

  test('a step that fails leaves the schema as it was, and can be repeated', async () => {
    await using db = await connect(await freshUrl());
    await migrate(db, { dialect, migrations });
    const failing = migrate(db, { dialect, migrations: [...migrations, addNotes, broken] });
    await expect(failing).rejects.toBeInstanceOf(HoldfastError);
    await expect(sql`select * from notes`.execute(db)).rejects.toThrow(/notes/);
    await expect(sql`select * from half_done`.execute(db)).rejects.toThrow(/half_done/);
    expect(await migrate(db, { dialect, migrations: [...migrations, addNotes] })).toBe(migrations.length + 1);
  });

  test('a newer schema is refused with both versions and what to do, and is not touched', async () => {
    const url = await freshUrl();
    {
      await using db = await connect(url);
      await migrate(db, { dialect, migrations: [...migrations, addNotes] });
    }
    await expect(openCatalog({ url })).rejects.toMatchObject({
      name: 'HoldfastError',
      code: 'internal',
      retryable: false,
      message:
        `The catalog has schema version ${migrations.length + 1}, and this release supports versions up to ${migrations.length}. ` +
        'Start the newer release that wrote it, or restore a backup of the catalog from before that upgrade.',
    });
    await using db = await connect(url);
    expect((await sql`select * from notes`.execute(db)).rows).toEqual([]);
  });

  test('the database rolls a transaction back as a whole', async () => {
    await using db = await connect(await freshUrl());
    await migrate(db, { dialect, migrations });
    const failing = db.transaction().execute(async (trx) => {
      await trx.insertInto('meta').values({ key: 'key', value: 'value' }).execute();
      throw new Error('changed my mind');
    });
    await expect(failing).rejects.toThrow('changed my mind');
    expect(await db.selectFrom('meta').selectAll().execute()).toEqual([]);
  });
});
