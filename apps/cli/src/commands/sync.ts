import type { CommandContext } from '../context.ts';
import { sync } from '../sync/sync.ts';

/** Makes a folder like another one. */
export async function run(context: CommandContext): Promise<void> {
  await sync(context);
}
