import { eventTypes } from '@holdfast/contract/events';
import type { EventType } from '@holdfast/contract/events';
import type { CommandContext } from '../context.ts';
import { UsageError } from '../exit-codes.ts';
import { followEvents } from './follow-events.ts';

/** Follows what happens on the hub, until Ctrl-C. */
export async function run(context: CommandContext): Promise<void> {
  await followEvents(context, 'events', wantedTypes(context.options.texts('types')));
}

/** The types that are named, by commas or one by one; `upload.*` names all of a kind. */
function wantedTypes(texts: readonly string[]): EventType[] | undefined {
  if (texts.length === 0) return undefined;
  const types = texts
    .flatMap((text) => text.split(','))
    .flatMap((name) => {
      const found = eventTypes.filter((type) =>
        name.endsWith('.*') ? type.startsWith(name.slice(0, -1)) : type === name,
      );
      if (found.length > 0) return found;
      throw new UsageError(`There are no events "${name}". There are: ${eventTypes.join(', ')}.`);
    });
  return [...new Set(types)];
}
