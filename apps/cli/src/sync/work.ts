import type { HubClient } from '@holdfast/client/client';
import { isHoldfastError } from '@holdfast/contract/errors';
import type { SyncAction } from './entry.ts';
import type { LocalHashes } from './local-hashes.ts';
import type { PlanStore } from './plan-store.ts';
import type { RemotePlace } from './remote-tree.ts';
import { isOfOneFile } from './tally.ts';
import type { Tally } from './tally.ts';

/** What carrying out a plan needs. */
export interface SyncWork {
  client: HubClient;
  /** The folder on the hub's side. */
  place: RemotePlace;
  /** The folder on this side, absolute. */
  root: string;
  plan: PlanStore;
  hashes: LocalHashes;
  tally: Tally;
  /** Where unfinished transfers are remembered. */
  stateDir: string;
  signal: AbortSignal;
  /** Actions that met a folder where a file goes, or the other way round: tried again when removals have made room. */
  blocked: SyncAction[] | null;
}

/** Requests at a time. */
export const LANES = 8;

/** Does one action; a failure that concerns this file only is noted, and the others go on. */
export async function attempt(work: SyncWork, action: SyncAction, run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    noteFailure(work, action, error);
    return;
  }
  work.tally.done(action);
}

/** Notes a failure of one file; throws what ends all of them. */
export function noteFailure({ blocked, signal, tally }: SyncWork, action: SyncAction, error: unknown): void {
  if (signal.aborted || !isOfOneFile(error)) throw error;
  if (blocked !== null && isBlocked(error)) blocked.push(action);
  else tally.fail(action.file.path, error);
}

function isBlocked(error: unknown): boolean {
  return (
    isHoldfastError(error, 'not_a_directory') ||
    isHoldfastError(error, 'is_a_directory') ||
    isHoldfastError(error, 'already_exists')
  );
}
