import { sql } from 'kysely';
import type { Kysely, RawBuilder } from 'kysely';

export type DialectName = 'sqlite' | 'postgres';

/** One step of the schema, forward only. Once released, a step is never edited. */
export interface Migration {
  readonly version: number;
  readonly name: string;
  up<DB>(db: Kysely<DB>, dialect: DialectName): Promise<void>;
}

/**
 * Text that compares byte by byte on both databases: ranges over paths and keyset cursors depend on it, and the
 * locale of a PostgreSQL database is not ours to choose. (SQLite's BINARY collation is its default.)
 */
export function bytewiseText(dialect: DialectName): RawBuilder<unknown> {
  return dialect === 'postgres' ? sql`text collate "C"` : sql`text`;
}
