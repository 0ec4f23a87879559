/** Where the hub serves the files of the boot backend. */
const filesPrefix = '/api/v1/files';

/**
 * One path segment with everything but RFC 3986 §2.3's unreserved characters percent-encoded, so that no
 * character means anything to iPXE (`$`, `{`, blanks) or to GRUB (quotes).
 */
function encodeSegment(segment: string): string {
  return encodeURIComponent(segment).replace(
    /[!'()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** The path on the hub for a path of the boot backend, percent-encoded. */
export function bootFilePath(path: string): string {
  return filesPrefix + path.split('/').map(encodeSegment).join('/');
}

/** The path on the boot backend for a path on the hub; undefined when it is not one of a boot file. */
export function backendPathOf(hubPath: string): string | undefined {
  if (!hubPath.startsWith(`${filesPrefix}/`)) return undefined;
  const [path = ''] = hubPath.slice(filesPrefix.length).split(/[?#]/);
  try {
    return decodeURIComponent(path);
  } catch {
    // Not percent-encoding: the hub takes such a path as it is.
    return path;
  }
}

/** The MAC address as it is put into queries: no colons, which old HTTP clients stumble over. */
function macInQuery(mac: string): string {
  return mac.replaceAll(':', '-');
}

/** The path and query of a machine's iPXE script. */
export function bootScriptPath(mac: string): string {
  return `/api/v1/boot?mac=${macInQuery(mac)}`;
}

/** The path and query of what a waiting machine polls. */
export function bootStatusPath(mac: string): string {
  return `/api/v1/boot/status?mac=${macInQuery(mac)}`;
}

/** The path and query of a machine's GRUB configuration. */
export function grubConfigPath(mac: string): string {
  return `/api/v1/boot/grub?mac=${macInQuery(mac)}`;
}
