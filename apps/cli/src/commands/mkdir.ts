import { isHoldfastError } from '@holdfast/contract/errors';
import type { CommandContext } from '../context.ts';
import { backendLocation } from '../paths/expand.ts';
import { locationText } from '../paths/location.ts';
import { Remote } from '../paths/remote.ts';

/** Makes folders on backends. */
export async function run({ args, hub, options, output }: CommandContext): Promise<void> {
  const client = await hub();
  const remote = new Remote(client);
  const made: string[] = [];
  const existed: string[] = [];
  for (const location of args.map(backendLocation)) {
    const id = await remote.backendId(location.backend);
    try {
      await client.call('createFolder', { params: { id }, body: { path: location.path } });
      made.push(locationText(location));
    } catch (error) {
      if (!options.flag('parents') || !isHoldfastError(error, 'already_exists')) throw error;
      if ((await remote.stat(location)).type === 'file') throw error;
      existed.push(locationText(location));
    }
  }
  output.result('mkdir', { made, existed }, () => {
    for (const path of made) output.note(`made ${path}`);
  });
}
