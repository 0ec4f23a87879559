import type { CommandContext } from './context.ts';
import { UsageError } from './exit-codes.ts';

/**
 * Asks before something is destroyed; resolves when it may be.
 * @param what names what goes, as a question: `Remove 3 files below default:/old?`
 * @throws UsageError when the answer is no, and where nobody can be asked and `--yes` is not given
 */
export async function confirm(context: CommandContext, what: string): Promise<void> {
  if (context.globals.flag('yes')) return;
  const { terminal } = context.output;
  if (!terminal.canAsk) {
    throw new UsageError(`${what} There is no terminal to ask on: give --yes when that is meant.`);
  }
  const { confirm: ask } = await import('@inquirer/prompts');
  const isMeant = await ask(
    { message: what, default: false },
    { input: terminal.stdin, output: terminal.stderr, signal: context.signal },
  );
  if (!isMeant) throw new UsageError('Nothing was changed.');
}
