import { HoldfastError } from '@holdfast/contract/errors';

declare const brand: unique symbol;

/**
 * A path on a backend in its one canonical form: `/` for the root, else `/a/b` with no empty, `.` or `..` segment,
 * no control character and no backslash, never in the reserved area. Only `parseBackendPath` makes one.
 */
export type BackendPath = string & { readonly [brand]: 'BackendPath' };

/** The folder at the top of every backend where Holdfast keeps its own files. */
export const RESERVED_FOLDER = '.holdfast';
/** UTF-8 bytes of one segment: NAME_MAX of the usual file systems. */
const MAX_SEGMENT_BYTES = 255;
/** UTF-8 bytes of a whole path: PATH_MAX of Linux. */
export const MAX_PATH_BYTES = 4096;

/** The root of a backend. */
export const ROOT: BackendPath = brandPath('/');

// oxlint-disable-next-line no-control-regex -- control characters are exactly what is refused
const controlCharacter = /[\u0000-\u001f\u007f]/;
const ignorable = /\p{Default_Ignorable_Code_Point}/gu;

function isCanonical(path: string): path is BackendPath {
  return path.startsWith('/');
}

/** Every caller has brought the text to its canonical form; only the type is still missing. */
function brandPath(canonical: string): BackendPath {
  if (!isCanonical(canonical)) throw new TypeError(`${canonical} is not a canonical path`);
  return canonical;
}

/**
 * Whether a first segment would name the reserved area on any file system: case, Unicode compatibility forms and
 * invisible code points are folded away, because some file systems fold them too (HFS+ ignores U+200C, for one).
 */
export function isReservedName(name: string): boolean {
  const folded = name.replace(ignorable, '').normalize('NFKC').toLowerCase().normalize('NFKC');
  return folded.replace(ignorable, '') === RESERVED_FOLDER;
}

/** Why a text cannot be one segment of a path, or undefined when it can. */
export function segmentProblem(segment: string): string | undefined {
  if (segment === '') return 'a name must not be empty';
  if (segment === '.' || segment === '..') return `"${segment}" is not allowed as a name`;
  if (segment.includes('/')) return 'a name must not contain a slash';
  if (segment.includes('\\')) return 'a backslash is not allowed; folders are separated by "/"';
  if (controlCharacter.test(segment)) return 'control characters (U+0000 to U+001F, U+007F) are not allowed';
  if (!segment.isWellFormed()) return 'it is not well-formed Unicode (it has half of a surrogate pair)';
  if (Buffer.byteLength(segment) > MAX_SEGMENT_BYTES) {
    return `a name has at most ${MAX_SEGMENT_BYTES} bytes in UTF-8`;
  }
  return undefined;
}

function refuse(field: string, problem: string): never {
  throw new HoldfastError('invalid_path', `The path is not allowed: ${problem}.`, {
    errors: [{ field, message: problem }],
  });
}

/**
 * Brings a path to its canonical form: one leading slash, no doubled and no trailing slash; the empty text is the root.
 * Percent signs are kept as they are: a caller that takes a path from a URL decodes it once before. Unicode is kept
 * as it is, without normalisation.
 *
 * @param field the name of the request's field, for the error
 * @throws HoldfastError `invalid_path` for anything that is not a string, `.` and `..`, control characters,
 *   backslashes, lone surrogates, a segment over 255 or a path over 4096 bytes of UTF-8, and the reserved `/.holdfast`
 */
export function parseBackendPath(input: unknown, field = 'path'): BackendPath {
  if (typeof input !== 'string') refuse(field, 'it must be a text');
  // Three bytes of UTF-8 at most for each code unit: a text this long is refused before it is taken apart.
  if (input.length > MAX_PATH_BYTES) refuse(field, `a path has at most ${MAX_PATH_BYTES} bytes in UTF-8`);
  const segments = input.split('/').filter((segment) => segment !== '');
  for (const segment of segments) {
    const problem = segmentProblem(segment);
    if (problem !== undefined) refuse(field, problem);
  }
  const first = segments[0];
  if (first !== undefined && isReservedName(first)) {
    refuse(field, `"/${RESERVED_FOLDER}" is reserved for Holdfast's own files`);
  }
  const path = `/${segments.join('/')}`;
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) {
    refuse(field, `a path has at most ${MAX_PATH_BYTES} bytes in UTF-8`);
  }
  return brandPath(path);
}

/** Whether a path is the root of its backend. */
export function isRoot(path: BackendPath): boolean {
  return path === '/';
}

/**
 * The path of one name inside a folder.
 * @throws HoldfastError `invalid_path` when the name is not a single allowed segment, or the result is reserved or too long
 */
export function joinBackendPath(parent: BackendPath, name: string): BackendPath {
  const problem = segmentProblem(name);
  if (problem !== undefined) refuse('name', problem);
  return parseBackendPath(`${parent}/${name}`);
}

/** The folder that holds a path; the root is its own parent. */
export function parentOf(path: BackendPath): BackendPath {
  const slash = path.lastIndexOf('/');
  return slash <= 0 ? ROOT : brandPath(path.slice(0, slash));
}

/** The last segment of a path; the empty text for the root. */
export function nameOf(path: BackendPath): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** The segments of a path from the top; none for the root. */
export function segmentsOf(path: BackendPath): string[] {
  return isRoot(path) ? [] : path.slice(1).split('/');
}

/** Whether `path` is `prefix` or lies below it, compared by whole segments. */
export function isWithin(path: BackendPath, prefix: BackendPath): boolean {
  return isRoot(prefix) || path === prefix || path.startsWith(`${prefix}/`);
}
