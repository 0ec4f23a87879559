import { DatabaseSync } from 'node:sqlite';
import type { StatementSync } from 'node:sqlite';
import { z } from 'zod';
import type { ActionKind, SyncAction } from './entry.ts';

/** Which actions: by kind, and by size in bytes (inclusive). */
export interface PlanFilter {
  kinds: readonly ActionKind[];
  from?: number;
  to?: number;
}

const row = z.object({
  kind: z.enum(['create', 'replace', 'touch', 'remove']),
  path: z.string(),
  size: z.bigint().transform(Number),
  mtime_ms: z.number().nullable(),
  mode: z.bigint().transform(Number).nullable(),
  sha256: z.string().nullable(),
  ino: z.string().nullable(),
  mtime_ns: z.bigint().nullable(),
  ctime_ns: z.bigint().nullable(),
});

/** The actions of a sync before they are done, in a temporary database: a plan may be larger than the memory. */
export class PlanStore implements Disposable {
  // An empty name is a database on disk that is gone with its connection (sqlite.org/inmemorydb.html).
  readonly #database = new DatabaseSync('');
  readonly #insert: StatementSync;

  constructor() {
    this.#database.exec(`
      PRAGMA journal_mode = OFF;
      PRAGMA synchronous = OFF;
      CREATE TABLE actions (
        number INTEGER PRIMARY KEY, kind TEXT NOT NULL, path TEXT NOT NULL, size INTEGER NOT NULL, mtime_ms REAL,
        mode INTEGER, sha256 TEXT, ino TEXT, mtime_ns INTEGER, ctime_ns INTEGER
      ) STRICT;`);
    this.#insert = this.#database.prepare(
      'INSERT INTO actions (kind, path, size, mtime_ms, mode, sha256, ino, mtime_ns, ctime_ns) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
    );
  }

  add({ kind, file }: SyncAction): void {
    const { path, size, mtimeMs, mode, sha256, stamp } = file;
    const ino = stamp === null ? null : String(stamp.ino);
    this.#insert.run(
      kind,
      path,
      size,
      mtimeMs,
      mode,
      sha256,
      ino,
      stamp?.mtimeNs ?? null,
      stamp?.ctimeNs ?? null,
    );
  }

  /** The actions that a filter lets through, in the order in which they were added. */
  *actions({ kinds, from = 0, to = Number.MAX_SAFE_INTEGER }: PlanFilter): Generator<SyncAction> {
    const marks = kinds.map(() => '?').join(', ');
    const select = this.#database.prepare(
      `SELECT * FROM actions WHERE kind IN (${marks}) AND size BETWEEN ? AND ? ORDER BY number`,
    );
    select.setReadBigInts(true);
    for (const found of select.iterate(...kinds, from, to)) yield actionOf(row.parse(found));
  }

  /** How many actions a filter lets through, and the bytes of their files. */
  totals({ kinds }: Pick<PlanFilter, 'kinds'>): { count: number; bytes: number } {
    const marks = kinds.map(() => '?').join(', ');
    const found = this.#database
      .prepare(
        `SELECT count(*) AS count, coalesce(sum(size), 0) AS bytes FROM actions WHERE kind IN (${marks})`,
      )
      .get(...kinds);
    return z.object({ count: z.number(), bytes: z.number() }).parse(found);
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }
}

function actionOf(stored: z.output<typeof row>): SyncAction {
  const {
    kind,
    path,
    size,
    mtime_ms: mtimeMs,
    mode,
    sha256,
    ino,
    mtime_ns: mtimeNs,
    ctime_ns: ctimeNs,
  } = stored;
  const isStamped = ino !== null && mtimeNs !== null && ctimeNs !== null;
  const stamp = isStamped ? { ino: BigInt(ino), mtimeNs, ctimeNs } : null;
  return { kind, file: { path, size, mtimeMs, mode, sha256, stamp } };
}
