import { parentOf, parseBackendPath } from '@holdfast/bytes/backend-path';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import { isTempName } from '@holdfast/bytes/durable-file';
import { isHoldfastError } from '@holdfast/contract/errors';
import { randomUUID } from 'node:crypto';

const stagingNamePattern = /^(.+)\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.(tmp|intent)$/;

/** Ids of the writes of this process that are under way, whichever backend they belong to. */
const underWay = new Set<string>();

/** The names of one write in the staging folder. Until it is disposed, a sweep in this process leaves them alone. */
export class StagingSlot implements Disposable {
  readonly tempName: string;
  readonly intentName: string;
  readonly #id = randomUUID();

  constructor(ownerId: string) {
    this.tempName = `${ownerId}.${this.#id}.tmp`;
    this.intentName = `${ownerId}.${this.#id}.intent`;
    underWay.add(this.#id);
  }

  [Symbol.dispose](): void {
    underWay.delete(this.#id);
  }
}

export interface StagedName {
  ownerId: string;
  kind: 'temp' | 'intent';
  /** Whether a write of this process uses it now. */
  isUnderWay: boolean;
}

/** What a name in the staging folder says, or undefined when it is none of ours. */
export function parseStagingName(name: string): StagedName | undefined {
  const [, ownerId, id, suffix] = stagingNamePattern.exec(name) ?? [];
  if (ownerId === undefined || id === undefined) return undefined;
  return { ownerId, kind: suffix === 'tmp' ? 'temp' : 'intent', isUnderWay: underWay.has(id) };
}

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
