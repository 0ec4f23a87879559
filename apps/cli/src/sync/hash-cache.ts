import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { StatementSync } from 'node:sqlite';
import type { FileStamp } from './entry.ts';

/** Commits are gathered: a cache that loses its last entries only costs time. */
const WRITES_OF_A_COMMIT = 1000;

/**
 * SHA-256 of local files, valid while path, size, mtime, inode and ctime are those that were seen. Kept in the state folder;
 * several commands may use it at once.
 */
export class HashCache implements Disposable {
  readonly #database: DatabaseSync;
  readonly #find: StatementSync;
  readonly #put: StatementSync;
  #pending: [string, number, bigint, bigint, bigint, string][] = [];

  constructor(stateDir: string) {
    mkdirSync(stateDir, { recursive: true, mode: 0o700 });
    this.#database = new DatabaseSync(join(stateDir, 'local-hashes.sqlite'), { timeout: 10_000 });
    this.#database.exec(`
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = NORMAL;
      CREATE TABLE IF NOT EXISTS hashes (
        path TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, ino TEXT NOT NULL,
        ctime_ns INTEGER NOT NULL, sha256 TEXT NOT NULL
      ) STRICT, WITHOUT ROWID;`);
    this.#find = this.#database.prepare(
      'SELECT sha256 FROM hashes WHERE path = ? AND size = ? AND mtime_ns = ? AND ino = ? AND ctime_ns = ?',
    );
    this.#put = this.#database.prepare(
      'INSERT OR REPLACE INTO hashes (path, size, mtime_ns, ino, ctime_ns, sha256) VALUES (?, ?, ?, ?, ?, ?)',
    );
  }

  /** Lower-case hex, when this very state of the file was hashed before. @param path absolute */
  get(path: string, size: number, stamp: FileStamp): string | null {
    const row = this.#find.get(path, size, stamp.mtimeNs, String(stamp.ino), stamp.ctimeNs);
    return typeof row?.['sha256'] === 'string' ? row['sha256'] : null;
  }

  /** Remembers the SHA-256 of a state of a file. It is found by `get` after the next commit. */
  put(path: string, size: number, stamp: FileStamp, sha256: string): void {
    this.#pending.push([path, size, stamp.mtimeNs, stamp.ino, stamp.ctimeNs, sha256]);
    if (this.#pending.length >= WRITES_OF_A_COMMIT) this.#commit();
  }

  [Symbol.dispose](): void {
    this.#commit();
    this.#database.close();
  }

  #commit(): void {
    const writes = this.#pending;
    this.#pending = [];
    this.#database.exec('BEGIN IMMEDIATE');
    for (const [path, size, mtimeNs, ino, ctimeNs, sha256] of writes) {
      this.#put.run(path, size, mtimeNs, String(ino), ctimeNs, sha256);
    }
    this.#database.exec('COMMIT');
  }
}
