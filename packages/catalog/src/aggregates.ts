import { sql } from 'kysely';
import type { Expression } from 'kysely';

/** The sum of a column of whole numbers, 0 for no rows. (PostgreSQL's own sum of bigints is no bigint.) */
export function sumOf(value: Expression<number | null>) {
  return sql<number>`cast(coalesce(sum(${value}), 0) as bigint)`;
}
