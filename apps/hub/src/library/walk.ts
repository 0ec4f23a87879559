import type { BackendPath } from '@holdfast/bytes/backend-path';
import { isHoldfastError, type ErrorCode } from '@holdfast/contract/errors';
import type { StorageBackend, StorageEntry } from '@holdfast/storage/backend';

/** Entries asked of a backend at once. */
const PAGE_ENTRIES = 1000;

/** The files at or below a path, in the backend's order, read a page at a time. */
export async function* walkFiles(
  storage: StorageBackend,
  path: BackendPath,
  options: { recursive: boolean; signal: AbortSignal },
): AsyncGenerator<StorageEntry, void, void> {
  const start = await storage.stat(path);
  if (start.type === 'file') {
    yield start;
    return;
  }
  let cursor: string | undefined;
  do {
    const page = await storage.list(path, {
      recursive: options.recursive,
      limit: PAGE_ENTRIES,
      signal: options.signal,
      ...(cursor === undefined ? {} : { cursor }),
    });
    for (const entry of page.entries) {
      if (entry.type === 'file') yield entry;
    }
    cursor = page.nextCursor;
  } while (cursor !== undefined);
}

/** The code and sentence of a failure, for reports. */
export function describeFailure(error: unknown): { code: ErrorCode; detail: string } {
  if (isHoldfastError(error)) return { code: error.code, detail: error.message };
  return { code: 'internal', detail: error instanceof Error ? error.message : String(error) };
}
