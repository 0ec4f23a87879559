import { parentOf, parseBackendPath } from '@holdfast/bytes/backend-path';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import { isTempName } from '@holdfast/bytes/temp-name';
import { isHoldfastError } from '@holdfast/contract/errors';

/** The text of an intent: a temporary file that stands in its target's folder, as that is on another file system. */
export function renderIntent(target: BackendPath, tempName: string): string {
  return JSON.stringify({ folder: parentOf(target), name: tempName });
}

/** Where an intent's temporary file stands, or undefined when the text is damaged (a crash while it was written). */
export function parseIntent(text: string): { folder: BackendPath; name: string } | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || !('folder' in value) || !('name' in value))
      return undefined;
    if (typeof value.name !== 'string' || !isTempName(value.name)) return undefined;
    return { folder: parseBackendPath(value.folder), name: value.name };
  } catch (error) {
    if (error instanceof SyntaxError || isHoldfastError(error, 'invalid_path')) return undefined;
    throw error;
  }
}
