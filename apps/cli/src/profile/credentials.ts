import { HoldfastError } from '@holdfast/contract/errors';
import { configFolder } from './folders.ts';
import { readProfiles } from './profile-store.ts';

/** Which hub is meant, with which key, and who says so. */
export interface Credentials {
  url: string;
  apiKey: string;
  /** The profile, or null when the environment alone names the hub. */
  profile: string | null;
}

interface Wanted {
  env: Readonly<Record<string, string | undefined>>;
  /** `--profile`. */
  profile: string | undefined;
  /** `--url`. */
  url: string | undefined;
}

/**
 * Finds the hub and the key: HOLDFAST_URL (or `--url`) with HOLDFAST_API_KEY win over profiles; then `--profile`,
 * HOLDFAST_PROFILE, the current profile. A key is never sent to another hub than the one it was given for.
 * @throws HoldfastError `unauthenticated` when nothing says which hub, or with which key; `not_found` for an unknown profile
 */
export async function findCredentials({ env, profile, url }: Wanted): Promise<Credentials> {
  const wantedUrl = url ?? filled(env['HOLDFAST_URL']);
  const key = filled(env['HOLDFAST_API_KEY']);
  if (wantedUrl !== undefined && key !== undefined && profile === undefined) {
    return { url: wantedUrl, apiKey: key, profile: null };
  }
  const folder = configFolder(env);
  const { profiles, current } = await readProfiles(folder);
  const name = profile ?? filled(env['HOLDFAST_PROFILE']) ?? current;
  if (name === null) {
    throw new HoldfastError(
      'unauthenticated',
      'Not logged in to any hub. Run "holdfast login", or set HOLDFAST_URL and HOLDFAST_API_KEY.',
    );
  }
  const found = Object.hasOwn(profiles, name) ? profiles[name] : undefined;
  if (found === undefined) {
    const known = Object.keys(profiles).join(', ');
    throw new HoldfastError(
      'not_found',
      `There is no profile "${name}". ${known === '' ? 'Run "holdfast login".' : `Known are: ${known}.`}`,
    );
  }
  if (wantedUrl !== undefined && withoutSlash(wantedUrl) !== found.url && key === undefined) {
    throw new HoldfastError(
      'unauthenticated',
      `The key of the profile "${name}" is for ${found.url}, not for ${wantedUrl}. Set HOLDFAST_API_KEY, or log in there.`,
    );
  }
  return { url: wantedUrl ?? found.url, apiKey: key ?? found.api_key, profile: name };
}

/** A URL of a hub as it is kept and compared. */
export function withoutSlash(url: string): string {
  return url.replace(/\/+$/, '');
}

function filled(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}
