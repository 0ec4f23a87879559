import { HoldfastError } from '@holdfast/contract/errors';
import type { Kysely, Selectable } from 'kysely';
import { batches } from '../batches.ts';
import { toCount } from '../columns.ts';
import { violationOf } from '../database-error.ts';
import type { DialectName } from '../migrations/migration.ts';
import type { ContentsTable } from '../tables/contents-table.ts';
import type { Schema } from '../tables/schema.ts';

const BATCH = 500;

/** A content that is about to be referred to; with where it is kept when the catalog need not know it yet. */
interface WantedContent {
  sha256: string;
  content?: { size: number; backendId: string; published: boolean } | undefined;
}

/**
 * The rows of contents, made where they are absent, and held until the transaction ends: nobody can begin to remove them.
 * What was published somewhere else than its row says is from now on kept there; what was published is not damaged.
 * @throws HoldfastError `backend_not_found`
 */
export async function claimContents(
  trx: Kysely<Schema>,
  dialect: DialectName,
  wanted: readonly WantedContent[],
  at: number,
): Promise<Map<string, Selectable<ContentsTable>>> {
  const offered = new Map<string, Selectable<ContentsTable> & { published: boolean }>();
  for (const { sha256, content } of wanted) {
    if (content === undefined) continue;
    offered.set(sha256, {
      sha256,
      size: toCount(content.size, 'size of a content'),
      backend_id: content.backendId,
      state: 'stored',
      removing_by: null,
      created_at: at,
      damage: null,
      published: content.published,
    });
  }
  // In one order for everybody: two transactions then wait for each other instead of deadlocking.
  const rows = [...offered.values()].toSorted((a, b) => (a.sha256 < b.sha256 ? -1 : 1));
  try {
    for (const batch of batches(rows, BATCH)) {
      await trx
        .insertInto('contents')
        .values(batch.map(({ published: _published, ...row }) => row))
        .onConflict((conflict) => conflict.column('sha256').doNothing())
        .execute();
    }
    const found = await held(
      trx,
      dialect,
      wanted.map(({ sha256 }) => sha256),
    );
    for (const row of rows) {
      const known = found.get(row.sha256);
      if (!row.published || known === undefined) continue;
      if (known.state !== 'stored') continue;
      if (known.backend_id === row.backend_id && known.damage === null) continue;
      await trx
        .updateTable('contents')
        .set({ backend_id: row.backend_id, damage: null })
        .where('sha256', '=', row.sha256)
        .execute();
      known.backend_id = row.backend_id;
      known.damage = null;
    }
    return found;
  } catch (error) {
    if (violationOf(error)?.kind !== 'foreign_key') throw error;
    const ids = [...new Set(rows.map((row) => row.backend_id))].join(', ');
    throw new HoldfastError('backend_not_found', `There is no backend with the id ${ids} (any more).`, {
      cause: error,
    });
  }
}

async function held(
  trx: Kysely<Schema>,
  dialect: DialectName,
  sha256s: readonly string[],
): Promise<Map<string, Selectable<ContentsTable>>> {
  const found = new Map<string, Selectable<ContentsTable>>();
  for (const batch of batches([...new Set(sha256s)].toSorted(), BATCH)) {
    const rows = await trx
      .selectFrom('contents')
      .selectAll()
      .where('sha256', 'in', batch)
      .orderBy('sha256')
      // Shared: many machines may record the same content at once, and only a removal has to wait.
      .$if(dialect === 'postgres', (query) => query.forShare())
      .execute();
    for (const row of rows) found.set(row.sha256, row);
  }
  return found;
}
