import { homedir } from 'node:os';
import { join } from 'node:path';

type Environment = Readonly<Record<string, string | undefined>>;

/** Where profiles are kept: HOLDFAST_CONFIG_DIR, else `holdfast` below XDG_CONFIG_HOME (default ~/.config). */
export function configFolder(env: Environment): string {
  return folder(env, 'HOLDFAST_CONFIG_DIR', 'XDG_CONFIG_HOME', '.config');
}

/** Where journals of unfinished transfers are kept: HOLDFAST_STATE_DIR, else `holdfast` below XDG_STATE_HOME (default ~/.local/state). */
export function stateFolder(env: Environment): string {
  return folder(env, 'HOLDFAST_STATE_DIR', 'XDG_STATE_HOME', join('.local', 'state'));
}

function folder(env: Environment, own: string, base: string, fallback: string): string {
  const chosen = env[own] ?? '';
  if (chosen !== '') return chosen;
  const xdg = env[base] ?? '';
  return join(xdg === '' ? join(homedir(), fallback) : xdg, 'holdfast');
}
