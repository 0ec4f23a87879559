import { events } from '@holdfast/client/events';
import type { EventType } from '@holdfast/contract/events';
import type { CommandContext } from '../context.ts';
import { exitCodes } from '../exit-codes.ts';
import { humanSeconds } from '../output/format.ts';
import { eventLine } from './event-text.ts';

/**
 * Prints events as they come, a line each, until the command is interrupted; a lost connection is made again.
 * @param name whose schema of `--json` a line has
 */
export async function followEvents(
  { endWith, hub, output, signal }: CommandContext,
  name: 'events' | 'transfersFollow',
  types: readonly EventType[] | undefined,
): Promise<void> {
  const client = await hub();
  const received = events(client, {
    signal,
    ...(types === undefined ? {} : { types }),
    onConnected: () => output.note(`following ${client.url}; Ctrl-C ends`),
    onWaiting: ({ error, retryInMs }) =>
      output.note(`${error.message} Trying again in ${humanSeconds(retryInMs / 1000)}.`),
  });
  for await (const event of received) output.streamed(name, event, () => output.line(eventLine(event)));
  endWith(exitCodes.interrupted);
}
