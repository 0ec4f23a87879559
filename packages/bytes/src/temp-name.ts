import { randomUUID } from 'node:crypto';

const tempNamePattern = /^\.holdfast-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.tmp$/;

/** A new name for a temporary file that stands in the folder of its target. Listings hide such names. */
export function newTempName(): string {
  return `.holdfast-${randomUUID()}.tmp`;
}

/** Whether a name is one of `newTempName`. */
export function isTempName(name: string): boolean {
  return tempNamePattern.test(name);
}
