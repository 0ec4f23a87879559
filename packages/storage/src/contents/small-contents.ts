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

/** Why a content is refused whose bytes are not what its digest says; undefined when they are. */
export function mismatchOf({ sha256: announced, bytes }: SmallContent): HoldfastError | undefined {
  const sha256 = sha256Hex(bytes);
  return sha256 === announced ? undefined : mismatch(announced, sha256);
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
      const wrong = mismatchOf(content);
      if (wrong !== undefined) throw wrong;
      return { stored: (await store(content)).stored };
    } catch (error) {
      return { error: error instanceof Error ? error : new Error(String(error)) };
    }
  });
}
