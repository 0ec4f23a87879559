import { hash } from 'node:crypto';

/** `C:\…` or `\\server\…`. */
const WINDOWS_PATH = /^(?:[A-Za-z]:[\\/]|\\\\)/;

/**
 * A machine's path as a relative one that cannot lead out of the folder in which the archive is unpacked, on any system: without
 * leading slashes, empty segments and `.`; `..` becomes `__`; a drive letter becomes a folder (`C:\a` → `C/a`); in a path of
 * Windows the backslash separates, elsewhere it becomes `_`, because Windows would take it for a separator.
 */
export function safeName(filepath: string): string {
  const isRooted = filepath.startsWith('/');
  const slashed =
    WINDOWS_PATH.test(filepath) || !isRooted
      ? filepath.replaceAll('\\', '/')
      : filepath.replaceAll('\\', '_');
  const segments = slashed
    .split('/')
    .filter((segment) => segment !== '' && segment !== '.')
    .map((segment) => (segment === '..' ? '__' : segment));
  const [first, ...rest] = segments;
  if (first === undefined) return '_';
  return [withoutDrive(first, rest.length > 0), ...rest].join('/');
}

/** `C:` and `C:name` would be taken for a drive at the start of a path. */
function withoutDrive(segment: string, isFolder: boolean): string {
  if (!/^[A-Za-z]:/.test(segment)) return segment;
  return segment.length === 2 && isFolder ? segment.slice(0, 1) : segment.replace(':', '_');
}

/**
 * Gives every file of an archive a name of its own: one that is taken, or whose folder is a file already (a machine's history can
 * hold both `/a` and `/a/b`), gets `~2`, `~3`, … . Remembers about 50 bytes for each file and folder.
 */
export class ArchiveNames {
  readonly #files = new Set<number>();
  readonly #folders = new Set<number>();
  /** Of names that were taken: the number to try first for the next file of that name. */
  readonly #nextFile = new Map<number, number>();
  /** Of folders whose name was taken: the number that all of their files got. */
  readonly #folderNumber = new Map<number, number>();

  /** The name of the next file. */
  take(filepath: string): string {
    const segments = safeName(filepath).split('/');
    const last = segments.pop() ?? '_';
    let folder = '';
    for (const segment of segments) folder = `${this.#folder(folder + segment)}/`;
    return this.#file(folder + last);
  }

  #folder(wanted: string): string {
    const base = keyOf(wanted);
    let number = this.#folderNumber.get(base) ?? 1;
    while (this.#files.has(keyOf(numbered(wanted, number)))) number += 1;
    if (number > 1) this.#folderNumber.set(base, number);
    const name = numbered(wanted, number);
    this.#folders.add(keyOf(name));
    return name;
  }

  #file(wanted: string): string {
    const base = keyOf(wanted);
    for (let number = this.#nextFile.get(base) ?? 1; ; number++) {
      const name = numbered(wanted, number);
      const key = keyOf(name);
      if (this.#files.has(key) || this.#folders.has(key)) continue;
      this.#files.add(key);
      if (number > 1) this.#nextFile.set(base, number + 1);
      return name;
    }
  }
}

function numbered(name: string, number: number): string {
  return number === 1 ? name : `${name}~${number}`;
}

/** 48 bits of the name's SHA-256: two names that share them cost a needless `~2`, never a file. */
function keyOf(name: string): number {
  return Number.parseInt(hash('sha256', name, 'hex').slice(0, 12), 16);
}
