import { HoldfastError } from '@holdfast/contract/errors';
import { PostgresDialect } from 'kysely';
import pg from 'pg';
import { databaseError } from './database-error.ts';
import type { CatalogLogger } from './database.ts';
import { GuardedDialect } from './guarded-dialect.ts';

const MOST_CONNECTIONS = 10;
const CONNECT_TIMEOUT_MS = 10_000;
/** A hub that hangs inside a transaction must not keep its locks from the others. */
const IDLE_TRANSACTION_TIMEOUT_MS = 60_000;

/** A pool of connections to the database that a `postgres://` URL names. Nothing is connected yet. */
export function openPostgres(url: string, logger: CatalogLogger | undefined): GuardedDialect {
  const pool = new pg.Pool({
    connectionString: url,
    application_name: 'holdfast',
    max: MOST_CONNECTIONS,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    idle_in_transaction_session_timeout: IDLE_TRANSACTION_TIMEOUT_MS,
    keepAlive: true,
    types: columnTypes,
  });
  // An idle connection that breaks (the server restarts) would otherwise end the process; the pool replaces it.
  pool.on('error', (error) => {
    logger?.warn(`An idle connection to the catalog's database was lost: ${error.message}`);
  });
  return new GuardedDialect(new PostgresDialect({ pool }), async (statement) => {
    try {
      return await statement();
    } catch (error) {
      throw databaseError(error);
    }
  });
}

// Not in pg's global table, so that other users of pg in this process keep their own ways.
const columnTypes = new pg.TypeOverrides();
columnTypes.setTypeParser(pg.types.builtins.INT8, parseBigint);

/** pg hands out 64-bit integers as text, because not all of them fit into a number. */
function parseBigint(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) {
    throw new HoldfastError(
      'internal',
      `The catalog holds the number ${text}, which is too large to be read exactly.`,
    );
  }
  return value;
}
