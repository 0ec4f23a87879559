import { once } from 'node:events';
import { streamDownload } from '@holdfast/client/node/download-stream';
import type { CommandContext } from '../context.ts';
import { UsageError } from '../exit-codes.ts';
import { expanded } from '../paths/expand.ts';
import { downloadOf, Remote } from '../paths/remote.ts';

/** Writes files to standard output, verified while they pass. */
export async function run({ args, globals, hub, output, signal }: CommandContext): Promise<void> {
  if (globals.flag('json')) throw new UsageError('cat prints the bytes of files: it has no --json.');
  const client = await hub();
  const remote = new Remote(client);
  const { stdout } = output.terminal;
  const sink = async (chunk: Uint8Array): Promise<void> => {
    if (!stdout.write(chunk)) await once(stdout, 'drain', { signal });
  };
  for (const text of args) {
    for (const entry of await expanded(remote, text))
      await streamDownload(client, downloadOf(entry), sink, { signal });
  }
}
