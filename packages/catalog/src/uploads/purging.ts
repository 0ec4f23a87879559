import type { CatalogDatabase } from '../database.ts';

/** Pieces removed in one statement: SQLite runs it on the event loop. */
const PIECE_BATCH = 2_000;
/** Sessions whose pieces are looked for together. */
const SESSION_BATCH = 200;

/** Removes up to `limit` sessions that ended before a time (milliseconds), with their pieces. */
export async function purgeEnded({ db }: CatalogDatabase, before: number, limit: number): Promise<number> {
  let purged = 0;
  while (purged < limit) {
    const rows = await db
      .selectFrom('uploads')
      .select('id')
      .where('finished_at', '<', before)
      .orderBy('finished_at')
      .orderBy('id')
      .limit(Math.min(SESSION_BATCH, limit - purged))
      .execute();
    if (rows.length === 0) return purged;
    const ids = rows.map(({ id }) => id);
    for (;;) {
      const batch = db
        .selectFrom('upload_pieces')
        .select(['upload_id', 'num'])
        .where('upload_id', 'in', ids)
        .limit(PIECE_BATCH);
      const result = await db
        .deleteFrom('upload_pieces')
        .where(({ eb, refTuple }) =>
          eb(refTuple('upload_id', 'num'), 'in', batch.$asTuple('upload_id', 'num')),
        )
        .executeTakeFirstOrThrow();
      if (result.numDeletedRows < BigInt(PIECE_BATCH)) break;
    }
    const result = await db.deleteFrom('uploads').where('id', 'in', ids).executeTakeFirstOrThrow();
    // Another hub may have been faster; that is no reason to stop.
    purged += Number(result.numDeletedRows);
    if (rows.length < SESSION_BATCH) return purged;
  }
  return purged;
}
