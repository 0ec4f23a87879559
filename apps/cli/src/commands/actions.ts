import type { CommandContext } from '../context.ts';
import { UsageError } from '../exit-codes.ts';

/** One of the things that a command does, chosen by its first argument. */
export interface Action {
  run: (context: CommandContext, args: readonly string[]) => Promise<void>;
  /** The arguments behind the action, as help writes them. Those in `<>` are needed. */
  arguments?: readonly string[];
  /** Long names, in camelCase, of the options that go with it. */
  options?: readonly string[];
}

/**
 * Runs the action that the first argument names.
 * @param usual the action without an argument
 * @throws UsageError for arguments and options that do not go with the action
 */
export async function runAction(
  context: CommandContext,
  command: string,
  actions: Readonly<Record<string, Action>>,
  usual: string,
): Promise<void> {
  const [name = usual, ...args] = context.args;
  const action = Object.hasOwn(actions, name) ? actions[name] : undefined;
  if (action === undefined)
    throw new UsageError(
      `"holdfast ${command}" does not know "${name}". It knows: ${Object.keys(actions).join(', ')}.`,
    );
  const wanted = action.arguments ?? [];
  const least = wanted.filter((form) => form.startsWith('<')).length;
  const isEndless = wanted.at(-1)?.includes('...') === true;
  if (args.length < least || (args.length > wanted.length && !isEndless)) {
    throw new UsageError(`It is: ${['holdfast', command, name, ...wanted].join(' ')}.`);
  }
  const { options } = context;
  for (const option of Object.values(actions).flatMap((one) => one.options ?? [])) {
    const isGiven = options.flag(option) || options.texts(option).length > 0;
    if (!isGiven || action.options?.includes(option) === true) continue;
    const flag = option.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    throw new UsageError(`--${flag} does not go with "holdfast ${command} ${name}".`);
  }
  await action.run(context, args);
}
