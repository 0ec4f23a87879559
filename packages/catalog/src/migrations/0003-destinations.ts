import { bytewiseText } from './migration.ts';
import type { Migration } from './migration.ts';

/** Uploads that end at a path of a backend, and contents that were found damaged. */
export const destinations: Migration = {
  version: 3,
  name: 'destinations',
  async up(db, dialect) {
    const text = bytewiseText(dialect);
    await db.schema.alterTable('uploads').addColumn('destination_path', text).execute();
    await db.schema
      .alterTable('uploads')
      .addColumn('overwrite', 'integer', (column) => column.notNull().defaultTo(0))
      .execute();
    await db.schema.alterTable('contents').addColumn('damage', text).execute();
  },
};
