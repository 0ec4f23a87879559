import { CompiledQuery, Kysely, sql } from 'kysely';
import { beforeAll, expect, test } from 'vitest';
import { Contents } from './contents.ts';
import { encodeTextCursor, encodeTimeCursor, encodeVersionCursor } from './cursor.ts';
import type { CatalogDatabase } from './database.ts';
import { describeDialects } from './dialect-fixture.ts';
import { HostFiles } from './host-files.ts';
import type { HostFileReach } from './host-files.ts';
import { openPostgres } from './postgres.ts';
import { openSqlite } from './sqlite.ts';
import type { Schema } from './tables/schema.ts';
import { digest } from './upload-fixture.ts';
import { Uploads } from './uploads.ts';

const ROWS = 100_000;
const HOSTS = 100;
const all: HostFileReach = { kind: 'all' };
const byKey: HostFileReach = { kind: 'key', keyId: 'key-7' };
const ofHost: HostFileReach = { kind: 'hostname', hostname: 'host-7' };
const soon = new Date(10_000_000);

/** Tables of which reading all rows would be felt. */
const large = new Set(['host_files', 'contents', 'uploads', 'upload_pieces']);

describeDialects(({ dialect, freshUrl, open, tables }) => {
  let url: string;

  beforeAll(async () => {
    url = await freshUrl();
    await open(url);
    const db = await tables(url);
    const hex = (number: string) =>
      sql.raw(dialect === 'postgres' ? `lpad(to_hex(${number}), 64, '0')` : `printf('%064x', ${number})`);
    const numbers = sql.raw(
      `with recursive numbers(i) as (select 0 union all select i + 1 from numbers where i < ${ROWS - 1})`,
    );
    await sql`insert into backends (id, name, type, config, created_at, updated_at)
      values ('main', 'main', 'local', '{}', 1, 1), ('other', 'other', 'local', '{}', 1, 1)`.execute(db);
    await sql`${numbers} insert into contents (sha256, size, backend_id, state, created_at)
      select ${hex('i')}, i, case i % 10 when 0 then 'other' else 'main' end, 'stored', i from numbers`.execute(
      db,
    );
    // A path has two versions; one in ten is deleted, and one content is everywhere.
    await sql`${numbers} insert into host_files
      (id, hostname, path_head, path_tail, filepath, version, sha256, size, is_current, deleted_at,
       deletion_noted_at, key_id, actor, created_at)
      select 'file-' || i, 'host-' || (i % ${sql.lit(HOSTS)}), '/' || (i / 200), '', '/' || (i / 200),
        1 + (i / 100) % 2, case when i % 4 = 0 then ${hex('0')} else ${hex('i')} end, i, (i / 100) % 2,
        case when (i / 100) % 20 = 1 then i end, case when (i / 100) % 20 = 1 then i end,
        'key-' || (i % 50), 'agent', i
      from numbers`.execute(db);
    await sql`${numbers} insert into uploads
      (id, protocol, status, key_id, actor, hostname, filepath, sha256, size, chunk_size, total_chunks, backend_id,
       is_partial, received_bytes, received_pieces, reserved_bytes, reserved_files, created_at, expires_at, finished_at)
      select 'upload-' || i, 'chunks', case when i < 500 then 'uploading' when i < 510 then 'completing' else 'completed' end,
        'key-' || (i % 50), 'agent', 'host-' || (i % ${sql.lit(HOSTS)}), '/' || i, ${hex('i')}, 100, 10, 10,
        case i % 10 when 0 then 'other' else 'main' end, 0, 0, 0, 100, 1, i, i, case when i >= 510 then i end
      from numbers`.execute(db);
    await sql`${numbers} insert into upload_pieces (upload_id, num, position, bytes, sha256)
      select 'upload-' || (i % 400), i / 400, i, 1, ${hex('i')} from numbers`.execute(db);
    if (dialect === 'postgres') await sql`analyze`.execute(db);
  });

  /** What the queries of a call read from end to end. */
  async function scansOf(call: (database: CatalogDatabase) => Promise<unknown>): Promise<string[]> {
    const queries: CompiledQuery[] = [];
    const connection =
      dialect === 'postgres'
        ? openPostgres(url, undefined)
        : (await openSqlite(url.slice('sqlite:'.length), undefined)).dialect;
    await using db = new Kysely<Schema>({
      dialect: connection,
      log: (event) => {
        if (event.level === 'query') queries.push(event.query);
      },
    });
    await call({ db, dialect, sqlite: null });
    const explained = queries.filter(({ sql: text }) =>
      /^\s*(select|insert|update|delete|with)\b/i.test(text),
    );
    expect(explained.length).toBeGreaterThan(0);
    const plain = await tables(url);
    const scans: string[] = [];
    for (const query of explained) {
      const explain = dialect === 'postgres' ? 'explain (format json) ' : 'explain query plan ';
      const { rows } = await plain.executeQuery(
        CompiledQuery.raw(explain + query.sql, [...query.parameters]),
      );
      for (const what of dialect === 'postgres' ? postgresScans(rows) : sqliteScans(rows)) {
        scans.push(`${what} in ${query.sql}`);
      }
    }
    return scans;
  }

  const key = { hostname: 'host-7', filepath: '/3', version: 1 };
  const versions = encodeVersionCursor('host_files', key);
  const calls: [string, (database: CatalogDatabase) => Promise<unknown>][] = [
    ['the sessions of a key', (db) => uploads(db).list({ keyId: 'key-7', limit: 10, cursor: time() })],
    [
      'the sessions in a status',
      (db) => uploads(db).list({ status: 'uploading', limit: 10, cursor: time() }),
    ],
    ['what sessions reserve of a backend', (db) => uploads(db).reserved('main')],
    ['the live sessions of a backend', (db) => uploads(db).openOn('main', { after: 'upload-2', limit: 10 })],
    ['sessions by id', (db) => uploads(db).getMany(['upload-1', 'upload-2'])],
    ['sessions that complete', (db) => uploads(db).inStatus('completing')],
    ['expired sessions', (db) => uploads(db).expiredBefore(soon, 10)],
    [
      'pieces that come',
      (db) =>
        uploads(db).addPieces(
          [0, 999].map((num) => ({
            uploadId: 'upload-3',
            num,
            position: 0,
            bytes: 1,
            sha256: digest(1),
            receipt: null,
          })),
          soon,
        ),
    ],
    ['the pieces of a session', (db) => uploads(db).pieces('upload-3')],
    ['the numbers of the pieces of a session', (db) => uploads(db).pieceNumbers('upload-3')],
    [
      'an offset that moves',
      (db) =>
        uploads(db).advance({
          id: 'upload-450',
          from: 0,
          to: 5,
          sha256: null,
          receipt: null,
          expiresAt: soon,
        }),
    ],
    ['a session that ends', (db) => uploads(db).transition('upload-5', ['uploading'], 'aborted')],
    [
      'a complete',
      (db) =>
        uploads(db).finish({
          id: 'upload-505',
          content: { sha256: digest('new'), size: 100, backendId: 'main', published: true },
          at: soon,
        }),
    ],
    ['tombstones', (db) => uploads(db).purge(new Date(600), 10)],
    [
      'what nothing refers to',
      (db) => contents(db).unreferenced({ after: digest(5), limit: 100, deletedBefore: new Date(50_000) }),
    ],
    ['the contents of a backend', (db) => contents(db).countByBackend('other')],
    ['the beginning of a removal', (db) => contents(db).beginRemoval([hexOf(4), hexOf(8)], 'hub')],
    ['removals under way', (db) => contents(db).removing('hub')],
    ['the end of a removal', (db) => contents(db).finishRemoval([hexOf(4)], 'hub')],
    [
      'files that come',
      (db) =>
        hostFiles(db).recordMany(
          ['/1', '/new'].map((filepath) => ({
            hostname: 'host-7',
            filepath,
            sha256: hexOf(7),
            mtime: null,
            mode: null,
            keyId: 'key-7',
            actor: 'agent',
          })),
          soon,
        ),
    ],
    [
      'the files of a machine',
      (db) => hostFiles(db).list({ ...page, hostname: 'host-7', versions: 'current' }),
    ],
    ['the files of a folder', (db) => hostFiles(db).list({ ...page, hostname: 'host-7', pathPrefix: '/4' })],
    ['the history of a machine', (db) => hostFiles(db).list({ ...page, hostname: 'host-7' })],
    ['the files of a machine within its reach', (db) => hostFiles(db).list({ ...page, reach: ofHost })],
    ['the files that a key recorded', (db) => hostFiles(db).list({ ...page, reach: byKey })],
    ['the files of a content', (db) => hostFiles(db).clones(hexOf(7), all, 10)],
    [
      'machines',
      (db) =>
        hostFiles(db).hosts({
          reach: all,
          deletedSince: new Date(1),
          limit: 5,
          cursor: encodeTextCursor('hosts', { first: 'host-5', second: '' }),
        }),
    ],
    ['readable contents', (db) => hostFiles(db).readable([hexOf(0), hexOf(7)], all)],
    ['readable contents of a machine', (db) => hostFiles(db).readable([hexOf(0), hexOf(7)], ofHost)],
    ['readable contents of a key', (db) => hostFiles(db).readable([hexOf(0), hexOf(7)], byKey)],
    [
      'deletions',
      (db) =>
        hostFiles(db).markDeletedMany([{ hostname: 'host-7', filepath: '/1', sha256: hexOf(7) }], {
          reach: all,
          at: soon,
        }),
    ],
    ['the purge', (db) => hostFiles(db).purge(new Date(300), 5)],
    [
      'a tree',
      (db) => hostFiles(db).treeAt({ hostname: 'host-7', at: soon, reach: all, after: '/3', limit: 100 }),
    ],
  ];
  const page = { reach: all, status: 'all', versions: 'all', limit: 10, cursor: versions } as const;

  test.each(calls)('%s are found without reading a whole table', async (_what, call) => {
    expect(await scansOf(call)).toEqual([]);
  });
});

const uploads = (database: CatalogDatabase): Uploads => new Uploads(database);
const contents = (database: CatalogDatabase): Contents => new Contents(database);
const hostFiles = (database: CatalogDatabase): HostFiles => new HostFiles(database);
const time = (): string => encodeTimeCursor('uploads', { at: 50_000, id: 'upload-50000' });
const hexOf = (number: number): string => number.toString(16).padStart(64, '0');

/** `SCAN table` reads it from end to end, by an index or not; `SEARCH` does not. One index holds only what is wanted. */
function sqliteScans(rows: readonly unknown[]): string[] {
  return rows.flatMap((row) => {
    const detail: unknown = typeof row === 'object' && row !== null && 'detail' in row ? row.detail : '';
    const [, table, index] = /^SCAN (\w+)(?: USING (?:COVERING )?INDEX (\w+))?/.exec(String(detail)) ?? [];
    return large.has(table ?? '') && index !== 'contents_removing' ? [String(detail)] : [];
  });
}

function postgresScans(rows: readonly unknown[]): string[] {
  const scans: string[] = [];
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) for (const item of value) visit(item);
    else if (typeof value === 'object' && value !== null) {
      const node: { [name: string]: unknown } = { ...value };
      const table = node['Relation Name'];
      if (node['Node Type'] === 'Seq Scan' && typeof table === 'string' && large.has(table)) {
        scans.push(`Seq Scan of ${table}`);
      }
      for (const part of Object.values(node)) visit(part);
    }
  };
  visit(rows);
  return scans;
}
