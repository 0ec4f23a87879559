import { HoldfastError } from '@holdfast/contract/errors';
import type { CommandContext } from '../context.ts';
import { configFolder } from '../profile/folders.ts';
import { readProfiles, writeProfiles } from '../profile/profile-store.ts';

/** Forgets profiles and their keys; the keys stay good at the hub. */
export async function run({ args, env, globals, options, output }: CommandContext): Promise<void> {
  const folder = configFolder(env);
  const { profiles, current } = await readProfiles(folder);
  const name = args[0] ?? globals.text('profile') ?? current;
  const removed = options.flag('all') ? Object.keys(profiles) : name === null ? [] : [name];
  const unknown = removed.find((one) => !Object.hasOwn(profiles, one));
  if (unknown !== undefined) throw new HoldfastError('not_found', `There is no profile "${unknown}".`);
  const kept = Object.fromEntries(Object.entries(profiles).filter(([one]) => !removed.includes(one)));
  const next = current !== null && removed.includes(current) ? (Object.keys(kept)[0] ?? null) : current;
  if (removed.length > 0) await writeProfiles(folder, { version: 1, current: next, profiles: kept });
  output.result('logout', { removed }, () => {
    output.line(
      removed.length === 0 ? 'There is no profile to forget.' : `Forgotten: ${removed.join(', ')}.`,
    );
    if (next !== null && next !== current) output.note(`The profile in use is now "${next}".`);
  });
}
