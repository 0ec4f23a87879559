import { randomUUID } from 'node:crypto';

const stagingNamePattern = /^(.+)\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.(tmp|intent)$/;

/** The name of the folder for unfinished files, in the reserved area. */
export const STAGING_FOLDER = 'staging';

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
