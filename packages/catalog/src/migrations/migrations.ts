import { spine } from './0001-spine.ts';
import { uploads } from './0002-uploads.ts';
import { destinations } from './0003-destinations.ts';
import type { Migration } from './migration.ts';

/** Every step of the schema, in order. A new one is added at the end. */
export const migrations: readonly Migration[] = [spine, uploads, destinations];
