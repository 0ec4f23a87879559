import { sql } from 'kysely';
import { bytewiseText } from './migration.ts';
import type { Migration } from './migration.ts';

/**
 * Upload sessions and their pieces, contents, host files, and what each API key keeps and reserves.
 * Sessions, host files and usage outlive the key that made them, so `key_id` is no reference.
 */
export const uploads: Migration = {
  version: 2,
  name: 'uploads',
  async up(db, dialect) {
    const text = bytewiseText(dialect);

    await db.schema.alterTable('keys').addColumn('hostname', text).execute();
    await db.schema.alterTable('keys').addColumn('quota_bytes', 'bigint').execute();
    await db.schema.alterTable('keys').addColumn('quota_files', 'bigint').execute();

    await db.schema
      .createTable('key_usage')
      .addColumn('key_id', text, (column) => column.primaryKey().notNull())
      .addColumn('bytes', 'bigint', (column) => column.notNull())
      .addColumn('files', 'bigint', (column) => column.notNull())
      .addColumn('reserved_bytes', 'bigint', (column) => column.notNull())
      .addColumn('reserved_files', 'bigint', (column) => column.notNull())
      .execute();

    await db.schema
      .createTable('uploads')
      .addColumn('id', text, (column) => column.primaryKey().notNull())
      .addColumn('protocol', text, (column) => column.notNull())
      .addColumn('status', text, (column) => column.notNull())
      .addColumn('key_id', text, (column) => column.notNull())
      .addColumn('actor', text, (column) => column.notNull())
      .addColumn('hostname', text, (column) => column.notNull())
      .addColumn('filepath', text, (column) => column.notNull())
      .addColumn('sha256', text)
      .addColumn('size', 'bigint')
      .addColumn('chunk_size', 'bigint')
      .addColumn('total_chunks', 'bigint', (column) => column.notNull())
      .addColumn('mtime', 'bigint')
      .addColumn('mode', 'integer')
      .addColumn('backend_id', text, (column) => column.notNull())
      .addColumn('staging_state', text)
      .addColumn('metadata', text)
      .addColumn('is_partial', 'integer', (column) => column.notNull())
      .addColumn('received_bytes', 'bigint', (column) => column.notNull())
      .addColumn('received_pieces', 'bigint', (column) => column.notNull())
      .addColumn('reserved_bytes', 'bigint', (column) => column.notNull())
      .addColumn('reserved_files', 'bigint', (column) => column.notNull())
      .addColumn('file_id', text)
      .addColumn('deduplicated', 'integer')
      .addColumn('error_code', text)
      .addColumn('error_detail', text)
      .addColumn('lease_hub', text)
      .addColumn('lease_until', 'bigint')
      .addColumn('created_at', 'bigint', (column) => column.notNull())
      .addColumn('expires_at', 'bigint', (column) => column.notNull())
      .addColumn('finished_at', 'bigint')
      .execute();
    await db.schema.createIndex('uploads_order').on('uploads').columns(['created_at', 'id']).execute();
    await db.schema
      .createIndex('uploads_key')
      .on('uploads')
      .columns(['key_id', 'created_at', 'id'])
      .execute();
    await db.schema
      .createIndex('uploads_status')
      .on('uploads')
      .columns(['status', 'created_at', 'id'])
      .execute();
    await db.schema
      .createIndex('uploads_backend')
      .on('uploads')
      .columns(['backend_id', 'status', 'id'])
      .execute();
    await db.schema.createIndex('uploads_expiry').on('uploads').columns(['status', 'expires_at']).execute();
    await sql`create index uploads_end on uploads (finished_at, id) where finished_at is not null`.execute(
      db,
    );
    // A session under way holds on to the content that it is about to refer to.
    await sql`create index uploads_completing on uploads (sha256) where status = 'completing'`.execute(db);

    await db.schema
      .createTable('upload_pieces')
      .addColumn('upload_id', text, (column) => column.notNull().references('uploads.id').onDelete('cascade'))
      .addColumn('num', 'bigint', (column) => column.notNull())
      .addColumn('position', 'bigint', (column) => column.notNull())
      .addColumn('bytes', 'bigint', (column) => column.notNull())
      .addColumn('sha256', text)
      .addColumn('receipt', text)
      .addPrimaryKeyConstraint('upload_pieces_pkey', ['upload_id', 'num'])
      .execute();

    await db.schema
      .createTable('contents')
      .addColumn('sha256', text, (column) => column.primaryKey().notNull())
      .addColumn('size', 'bigint', (column) => column.notNull())
      .addColumn('backend_id', text, (column) =>
        column.notNull().references('backends.id').onDelete('restrict'),
      )
      .addColumn('state', text, (column) => column.notNull())
      .addColumn('removing_by', text)
      .addColumn('created_at', 'bigint', (column) => column.notNull())
      .execute();
    await db.schema.createIndex('contents_backend').on('contents').column('backend_id').execute();
    await sql`create index contents_removing on contents (sha256) where state = 'removing'`.execute(db);

    await db.schema
      .createTable('host_files')
      .addColumn('id', text, (column) => column.primaryKey().notNull())
      .addColumn('hostname', text, (column) => column.notNull())
      // The first 320 characters: with a hostname of 253 and a digest, what PostgreSQL can index (2,704 bytes).
      .addColumn('path_head', text, (column) => column.notNull())
      .addColumn('path_tail', text, (column) => column.notNull())
      .addColumn('filepath', text, (column) => column.notNull())
      .addColumn('version', 'bigint', (column) => column.notNull())
      .addColumn('sha256', text, (column) =>
        column.notNull().references('contents.sha256').onDelete('restrict'),
      )
      .addColumn('size', 'bigint', (column) => column.notNull())
      .addColumn('mtime', 'bigint')
      .addColumn('mode', 'integer')
      .addColumn('is_current', 'integer', (column) => column.notNull())
      .addColumn('deleted_at', 'bigint')
      .addColumn('deletion_noted_at', 'bigint')
      .addColumn('key_id', text, (column) => column.notNull())
      .addColumn('actor', text, (column) => column.notNull())
      .addColumn('created_at', 'bigint', (column) => column.notNull())
      .execute();
    await db.schema
      .createIndex('host_files_version_unique')
      .unique()
      .on('host_files')
      .columns(['hostname', 'path_head', 'path_tail', 'version desc'])
      .execute();
    await sql`create unique index host_files_current_unique on host_files (hostname, path_head, path_tail)
      where is_current = 1`.execute(db);
    // All that a summary of a machine says.
    await sql`create index host_files_hosts on host_files (hostname, deletion_noted_at, created_at, size)
      where is_current = 1`.execute(db);
    await db.schema
      .createIndex('host_files_content')
      .on('host_files')
      .columns(['sha256', 'hostname', 'path_head', 'path_tail', 'version desc'])
      .execute();
    await db.schema
      .createIndex('host_files_content_key')
      .on('host_files')
      .columns(['sha256', 'key_id'])
      .execute();
    await db.schema
      .createIndex('host_files_key')
      .on('host_files')
      .columns(['key_id', 'hostname', 'path_head', 'path_tail', 'version desc'])
      .execute();
    await sql`create index host_files_deleted on host_files (deletion_noted_at, id)
      where is_current = 1 and deletion_noted_at is not null`.execute(db);
  },
};
