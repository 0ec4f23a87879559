import type { CommandContext } from '../context.ts';
import { globalOptions } from '../global-options.ts';
import { FILES_LINE } from '../completion/scripts.ts';
import { completionOf } from '../completion/words.ts';
import type { Candidate, Completion } from '../completion/words.ts';
import { configFolder } from '../profile/folders.ts';

/** A person waits with a finger on the key: what has not come by then is left out. */
const LIMIT_MS = 1000;

/** Prints what could come next on a command line, for the scripts of `completion`. Fails silently: nobody asked aloud. */
export async function run(context: CommandContext): Promise<void> {
  const [shell = 'bash', ...typed] = context.args;
  const words = typed.map(unquoted);
  const word = words.at(-1) ?? '';
  const { commands, groups } = await import('../commands.ts');
  const { candidates, lookUp } = completionOf(words, { commands, groups, globalOptions });
  const print = ({ text, summary }: Candidate): void => {
    // A name with a line end cannot be told to a shell.
    if (/\p{Cc}/u.test(text) || !text.startsWith(word)) return;
    context.output.line(shell === 'bash' || summary === '' ? text : `${text}\t${summary}`);
  };
  for (const candidate of candidates) print(candidate);
  if (lookUp === 'local' || lookUp === 'both') context.output.line(FILES_LINE);
  if (lookUp === 'nothing' || lookUp === 'local') return;
  try {
    await lookedUp(context, lookUp, word, print);
  } catch (error) {
    if (context.globals.flag('verbose')) throw error;
  }
}

async function lookedUp(
  context: CommandContext,
  lookUp: Completion['lookUp'],
  word: string,
  print: (candidate: Candidate) => void,
): Promise<void> {
  if (lookUp === 'profiles') {
    const { readProfiles } = await import('../profile/profile-store.ts');
    const { profiles } = await readProfiles(configFolder(context.env));
    for (const [text, { url }] of Object.entries(profiles)) print({ text, summary: url });
    return;
  }
  const { url, apiKey } = await context.credentials();
  const { createClient } = await import('@holdfast/client/client');
  const client = createClient({ url, apiKey, retry: false, signal: AbortSignal.timeout(LIMIT_MS) });
  const { backendNames, remotePaths } = await import('../completion/remote-words.ts');
  if (lookUp === 'backends') for (const name of await backendNames(client)) print(name);
  else await remotePaths(client, word, print);
}

/** A word as a shell passes it on from a line that is not ended yet: the quotes and backslashes are still there. */
function unquoted(word: string): string {
  if (word.startsWith("'")) return word.slice(1).replace(/'$/, '');
  if (word.startsWith('"'))
    return word
      .slice(1)
      .replace(/"$/, '')
      .replaceAll(/\\(["\\$`])/g, '$1');
  return word.replaceAll(/\\(.)/g, '$1');
}
