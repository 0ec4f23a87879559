import { sql } from 'kysely';
import { bytewiseText } from './migration.ts';
import type { Migration } from './migration.ts';

/**
 * Backends, checksum records, settings, nodes, workflows, API keys and the operation log.
 * Unique indexes are named `<table>_<column>_unique`: that is how a violation finds its field.
 */
export const spine: Migration = {
  version: 1,
  name: 'spine',
  async up(db, dialect) {
    const text = bytewiseText(dialect);

    await db.schema
      .createTable('backends')
      .addColumn('id', text, (column) => column.primaryKey().notNull())
      .addColumn('name', text, (column) => column.notNull())
      .addColumn('type', text, (column) => column.notNull())
      .addColumn('config', text, (column) => column.notNull())
      .addColumn('sealed_secrets', text)
      .addColumn('volume_id', text)
      .addColumn('created_at', 'bigint', (column) => column.notNull())
      .addColumn('updated_at', 'bigint', (column) => column.notNull())
      .execute();
    await db.schema.createIndex('backends_name_unique').unique().on('backends').column('name').execute();
    await db.schema
      .createIndex('backends_volume_id_unique')
      .unique()
      .on('backends')
      .column('volume_id')
      .execute();

    await db.schema
      .createTable('checksums')
      .addColumn('backend_id', text, (column) =>
        column.notNull().references('backends.id').onDelete('cascade'),
      )
      // The first 512 characters (at most 2,048 bytes, which PostgreSQL can index), and the SHA-256 of the rest.
      .addColumn('path_head', text, (column) => column.notNull())
      .addColumn('path_tail', text, (column) => column.notNull())
      .addColumn('path', text, (column) => column.notNull())
      .addColumn('sha256', text, (column) => column.notNull())
      .addColumn('size', 'bigint', (column) => column.notNull())
      .addColumn('validator', text, (column) => column.notNull())
      .addColumn('computed_at', 'bigint', (column) => column.notNull())
      .addPrimaryKeyConstraint('checksums_pkey', ['backend_id', 'path_head', 'path_tail'])
      .execute();
    await db.schema
      .createIndex('checksums_content')
      .on('checksums')
      .columns(['sha256', 'backend_id', 'path_head', 'path_tail'])
      .execute();

    for (const table of ['settings', 'meta']) {
      await db.schema
        .createTable(table)
        .addColumn('key', text, (column) => column.primaryKey().notNull())
        .addColumn('value', text, (column) => column.notNull())
        .execute();
    }

    await db.schema
      .createTable('workflows')
      .addColumn('id', text, (column) => column.primaryKey().notNull())
      .addColumn('name', text, (column) => column.notNull())
      .addColumn('install_method', text, (column) => column.notNull())
      .addColumn('kernel_path', text)
      .addColumn('initrd_path', text)
      .addColumn('cmdline', text)
      .addColumn('boot_url', text)
      .addColumn('architecture', text, (column) => column.notNull())
      .addColumn('boot_mode', text, (column) => column.notNull())
      .addColumn('created_at', 'bigint', (column) => column.notNull())
      .addColumn('updated_at', 'bigint', (column) => column.notNull())
      .execute();
    await db.schema.createIndex('workflows_name_unique').unique().on('workflows').column('name').execute();

    await db.schema
      .createTable('nodes')
      .addColumn('id', text, (column) => column.primaryKey().notNull())
      .addColumn('mac', text, (column) => column.notNull())
      .addColumn('name', text)
      .addColumn('state', text, (column) => column.notNull())
      .addColumn('workflow_id', text, (column) => column.references('workflows.id').onDelete('restrict'))
      .addColumn('arch', text)
      .addColumn('uuid', text)
      .addColumn('serial', text)
      .addColumn('vendor', text)
      .addColumn('model', text)
      .addColumn('last_ip', text)
      .addColumn('token_hash', text)
      .addColumn('last_seen_at', 'bigint')
      .addColumn('installed_at', 'bigint')
      .addColumn('created_at', 'bigint', (column) => column.notNull())
      .addColumn('updated_at', 'bigint', (column) => column.notNull())
      .execute();
    await db.schema.createIndex('nodes_mac_unique').unique().on('nodes').column('mac').execute();
    await db.schema.createIndex('nodes_order').on('nodes').columns(['created_at', 'id']).execute();
    await db.schema.createIndex('nodes_workflow').on('nodes').column('workflow_id').execute();

    await db.schema
      .createTable('keys')
      .addColumn('id', text, (column) => column.primaryKey().notNull())
      .addColumn('name', text, (column) => column.notNull())
      .addColumn('hash', text, (column) => column.notNull())
      .addColumn('hint', text, (column) => column.notNull())
      .addColumn('scopes', text, (column) => column.notNull())
      .addColumn('backend_id', text, (column) => column.references('backends.id').onDelete('cascade'))
      .addColumn('path_prefix', text)
      .addColumn('origin', text, (column) => column.notNull())
      .addColumn('expires_at', 'bigint')
      .addColumn('last_used_at', 'bigint')
      .addColumn('revoked_at', 'bigint')
      .addColumn('created_at', 'bigint', (column) => column.notNull())
      .execute();
    await db.schema.createIndex('keys_hash_unique').unique().on('keys').column('hash').execute();
    await db.schema.createIndex('keys_backend').on('keys').column('backend_id').execute();
    await sql`create unique index keys_origin_unique on keys (origin) where origin = 'environment'`.execute(
      db,
    );

    await db.schema
      .createTable('operations')
      .addColumn('id', text, (column) => column.primaryKey().notNull())
      .addColumn('operation', text, (column) => column.notNull())
      .addColumn('state', text, (column) => column.notNull())
      .addColumn('hub_id', text)
      .addColumn('actor', text)
      .addColumn('provider', text)
      .addColumn('backend_id', text)
      .addColumn('file', text)
      .addColumn('bytes', 'bigint', (column) => column.notNull())
      .addColumn('duration_ms', 'bigint')
      .addColumn('success', 'integer')
      .addColumn('duplicate', 'integer', (column) => column.notNull())
      .addColumn('error', text)
      .addColumn('details', text)
      .addColumn('started_at', 'bigint', (column) => column.notNull())
      .addColumn('finished_at', 'bigint')
      .execute();
    await db.schema.createIndex('operations_order').on('operations').columns(['started_at', 'id']).execute();
    await db.schema
      .createIndex('operations_kind')
      .on('operations')
      .columns(['operation', 'started_at', 'id'])
      .execute();
    await sql`create index operations_file on operations (substr(file, 1, 512), started_at, id)`.execute(db);
  },
};
