import type { Settings } from '../settings.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

/** How long deleted files can be restored, in milliseconds. */
export function retentionMs(settings: Settings): number {
  return settings.current.deleted_file_retention_days * DAY_MS;
}

/** Files whose deletion was noted before this are past their retention. */
export function deletedBefore(settings: Settings): Date {
  return new Date(Date.now() - retentionMs(settings));
}
