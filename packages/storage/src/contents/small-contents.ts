import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import { sha256Hex } from '@holdfast/bytes/sha256';
import { HoldfastError } from '@holdfast/contract/errors';
import { mapBounded } from '../concurrency/bounded.ts';
import type { SmallContent } from '../contents.ts';
import { requireContentName } from './content-names.ts';

export function mismatch(announced: string, sha256: string): HoldfastError {
  const text = `A content was announced with SHA-256 ${announced}, but its bytes have ${sha256}. It was not stored.`;
  return new HoldfastError('checksum_mismatch', text);
}

/**
 * Stores contents side by side, each on its own; for storages that know nothing cheaper.
 * @param store stores one whose digest was found right
 */
export async function storeSideBySide(
  contents: readonly SmallContent[],
  limit: number,
  store: (content: SmallContent) => Promise<{ stored: boolean }>,
  signal?: AbortSignal,
): Promise<({ stored: boolean } | { error: Error })[]> {
  for (const { sha256 } of contents) requireContentName(sha256);
  throwIfCancelled(signal, 'Storing contents');
  return mapBounded(contents, limit, async (content) => {
    try {
      throwIfCancelled(signal, 'Storing contents');
      const sha256 = sha256Hex(content.bytes);
      if (sha256 !== content.sha256) throw mismatch(content.sha256, sha256);
      return { stored: (await store(content)).stored };
    } catch (error) {
      return { error: error instanceof Error ? error : new Error(String(error)) };
    }
  });
}
