/** What an argument names. */
export type Location =
  | { kind: 'stdio' }
  | { kind: 'local'; path: string }
  /** A path on a backend, by name or identifier; always with a leading slash. */
  | { kind: 'backend'; backend: string; path: string }
  /** What machines have sent. `host` is empty for `hub:/`; `path` is in the machine's own form, empty for all of it. */
  | { kind: 'hub'; host: string; path: string };

/** A location on the hub's side. */
export type RemoteLocation = Extract<Location, { kind: 'backend' | 'hub' }>;

/**
 * Reads an argument: `-`; `hub:/HOST/path`; `NAME:/path`, where the name has no slash; anything else is local (a local name
 * with a colon is written `./a:/b`).
 */
export function parseLocation(text: string): Location {
  if (text === '-') return { kind: 'stdio' };
  const [, name, path] = /^([^/]+?):(\/.*)$/su.exec(text) ?? [];
  if (name === undefined || path === undefined) return { kind: 'local', path: text };
  if (name !== 'hub') return { kind: 'backend', backend: name, path };
  const [, host = '', rest = ''] = /^\/+([^/]*)(.*)$/su.exec(path) ?? [];
  return { kind: 'hub', host, path: nativePath(rest) };
}

/** The text that `parseLocation` reads back. */
export function locationText(location: Location): string {
  if (location.kind === 'stdio') return '-';
  if (location.kind === 'local') {
    return parseLocation(location.path).kind === 'local' ? location.path : `./${location.path}`;
  }
  if (location.kind === 'backend') return `${location.backend}:${location.path}`;
  if (location.host === '') return 'hub:/';
  const { path } = location;
  return `hub:/${location.host}${path === '' || path.startsWith('/') ? path : `/${path}`}`;
}

/** The path of Windows behind `/C:\…` or `/\\server`; any other path is of a system with slashes. */
function nativePath(rest: string): string {
  return /^\/(?:[A-Za-z]:[\\/]|\\\\)/.test(rest) ? rest.slice(1) : rest === '/' ? '' : rest;
}

/** The last segment of a path of either form. */
export function lastSegment(path: string): string {
  return /[^/\\]+(?=[/\\]*$)/.exec(path)?.[0] ?? '';
}

/** A path below a folder: one slash between them. */
export function joinedPath(folder: string, name: string): string {
  return `${folder.replace(/\/+$/, '')}/${name.replace(/^\/+/, '')}`;
}
