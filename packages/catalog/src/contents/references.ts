import { sql } from 'kysely';
import type { Expression, ExpressionBuilder, SqlBool } from 'kysely';
import type { Schema } from '../tables/schema.ts';

/**
 * The one place that says what keeps a content: a version of a host file, or a session that is about to become one.
 * With a limit in them, PostgreSQL asks the index for each content instead of reading the tables once for all.
 * @param deletedBefore as if the deleted host files noted before this time (milliseconds) were purged already
 */
export function isReferenced(
  eb: ExpressionBuilder<Schema, 'contents'>,
  deletedBefore?: number,
): Expression<SqlBool> {
  let versions = eb
    .selectFrom('host_files')
    .select('host_files.id')
    .whereRef('host_files.sha256', '=', 'contents.sha256')
    .limit(1);
  if (deletedBefore !== undefined) {
    versions = versions.where(({ eb: inner, fn, selectFrom, val }) => {
      const notedAt = selectFrom('host_files as current')
        .select('current.deletion_noted_at')
        .whereRef('current.hostname', '=', 'host_files.hostname')
        .whereRef('current.path_head', '=', 'host_files.path_head')
        .whereRef('current.path_tail', '=', 'host_files.path_tail')
        .where('current.is_current', '=', sql.lit(1))
        .limit(1);
      return inner(fn.coalesce(notedAt, val(deletedBefore)), '>=', deletedBefore);
    });
  }
  const sessions = eb
    .selectFrom('uploads')
    .select('uploads.id')
    .whereRef('uploads.sha256', '=', 'contents.sha256')
    .where('uploads.status', '=', sql.lit('completing'))
    .limit(1);
  return eb.or([eb(versions, 'is not', null), eb(sessions, 'is not', null)]);
}
