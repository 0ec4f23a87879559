import { RESERVED_FOLDER } from '@holdfast/bytes/backend-path';
import { HoldfastError } from '@holdfast/contract/errors';

/** The marker file below a root: proves that the right volume is mounted. */
export const MARKER_PATH = `${RESERVED_FOLDER}/volume.json`;

export interface VolumeMarker {
  volumeId: string;
  /** ISO 8601, UTC. */
  createdAt: string;
}

/**
 * Reads the text of a marker file.
 * @throws HoldfastError `backend_unavailable`, not retryable, when the text is damaged
 */
export function parseMarker(text: string, path: string): VolumeMarker {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (
    typeof value === 'object' &&
    value !== null &&
    'volume_id' in value &&
    typeof value.volume_id === 'string' &&
    value.volume_id !== ''
  ) {
    const createdAt = 'created_at' in value && typeof value.created_at === 'string' ? value.created_at : '';
    return { volumeId: value.volume_id, createdAt };
  }
  throw new HoldfastError(
    'backend_unavailable',
    `The marker file ${path} is damaged: it has no volume_id. Restore it from a backup, or remove it and set the ` +
      'backend up anew.',
    { retryable: false },
  );
}

/** The text of a marker file. */
export function renderMarker(marker: VolumeMarker): string {
  return `${JSON.stringify({ volume_id: marker.volumeId, created_at: marker.createdAt }, null, 2)}\n`;
}
