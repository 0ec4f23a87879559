import type { CommandContext } from '../context.ts';
import { UsageError } from '../exit-codes.ts';
import { backendLocation } from '../paths/expand.ts';
import { lastSegment, locationText } from '../paths/location.ts';
import { destinationPath, Remote } from '../paths/remote.ts';

/** Moves or renames within a backend. */
export async function run({ args, hub, options, output }: CommandContext): Promise<void> {
  const source = backendLocation(args[0] ?? '');
  const given = backendLocation(args[1] ?? '');
  const target = { ...given, path: destinationPath(given.path, lastSegment(source.path)) };
  const client = await hub();
  const remote = new Remote(client);
  const id = await remote.backendId(source.backend);
  if (id !== (await remote.backendId(target.backend))) {
    throw new UsageError('mv works within one backend: use "holdfast cp" between two, then "holdfast rm".');
  }
  const isDryRun = options.flag('dryRun');
  if (isDryRun) await remote.stat(source);
  else {
    const overwrite = options.flag('overwrite');
    await client.call('moveFile', {
      params: { id },
      body: { source_path: source.path, destination_path: target.path, overwrite },
    });
  }
  const [from, to] = [locationText(source), locationText(target)];
  output.result('mv', { dry_run: isDryRun, source: from, destination: to }, () => {
    output.note(`${isDryRun ? 'would move' : 'moved'} ${from} to ${to}`);
  });
}
