import type { ObjectInfo } from './entry.ts';

/** A line of a listing by its name in the folder; a common beginning of keys ends with a slash. */
export interface NamedKey {
  name: string;
  /** Undefined for a common beginning. */
  object?: ObjectInfo;
}

/** A file or folder of a listing; the name has no slash at its end. */
export interface Listed {
  name: string;
  /** Undefined for a folder. */
  object?: ObjectInfo;
}

/** Where names come from: the order is that of their UTF-8 bytes, which is the order of code points. */
export interface NameSource {
  /** A page of the names after a name (all of them for undefined). */
  page(
    after: string | undefined,
    token: string | undefined,
  ): Promise<{ names: NamedKey[]; nextToken: string | undefined }>;
  /** The first name that begins so and comes after a name, whatever slashes it has. */
  first(beginning: string, after?: string): Promise<string | undefined>;
  /** Whether a name (without a slash at its end) is shown at all. */
  isShown(name: string): boolean;
  /** A place to go on when everything up to it is hidden: skips the reserved area in one step. */
  skip?(name: string): string | undefined;
}

/** After every name that begins with what stands before it, but for those that nobody has. */
const LAST = '\u{10ffff}';

function isHigh(unit: string): boolean {
  return unit >= '\ue000' && unit <= '\uffff';
}

function isAstral(character: string): boolean {
  return character.length === 2;
}

/** Every beginning of a text with the character that follows it. */
function* splits(text: string): Generator<{ before: string; character: string }> {
  let before = '';
  for (const character of text) {
    yield { before, character };
    before += character;
  }
}

/**
 * The first names of a listing after a name, in the order of paths by code units, made from pages in the order of S3.
 * The two differ in two ways:
 *
 * 1. The folder `a` is known by `a/…`, which S3 lists behind `a-b`, while `a` comes before it. At the end of a page,
 *    folders that would come within it can only be beginnings of its last key: they are asked for one by one.
 * 2. Characters beyond U+FFFF come before U+E000–U+FFFF by code units, and behind them by code points. Where a page ends
 *    (or begins) inside such a pair of ranges, the whole listing is read, and the smallest names of it are kept.
 *
 * @param limit names that are wanted; one more is looked for, to tell whether there is more
 * @returns `sawAny`: whether there was any key at all, shown or not
 */
export async function listInOrder(
  source: NameSource,
  after: string | undefined,
  limit: number,
): Promise<{ listed: Listed[]; hasMore: boolean; sawAny: boolean }> {
  const window = new Window(source, after);
  if (after !== undefined && (await hidesHighSiblings(source, after))) {
    return window.readEverything(limit);
  }
  let token: string | undefined;
  let position = after;
  for (;;) {
    const { names, nextToken } = await source.page(position, token);
    for (const name of names) window.add(name);
    const last = names.at(-1)?.name;
    if (nextToken === undefined || last === undefined) return window.result(limit);
    const skipped = source.skip?.(last);
    position = skipped ?? position;
    token = skipped === undefined ? nextToken : undefined;
    if (window.size <= limit) continue;
    if (await window.splitsPair(last)) return new Window(source, after).readEverything(limit);
    await window.addFoldersBefore(last);
    return window.result(limit);
  }
}

/** Whether names come after this one by code units that come before it by code points (see 2. above). */
async function hidesHighSiblings(source: NameSource, after: string): Promise<boolean> {
  for (const { before, character } of splits(after)) {
    if (!isAstral(character)) continue;
    const first = await source.first(before, `${before}\ud7ff${LAST}`);
    if (first !== undefined && isHigh(first.charAt(before.length))) return true;
  }
  return false;
}

/** The names of a listing that are known so far. */
class Window {
  readonly #source: NameSource;
  readonly #after: string | undefined;
  readonly #found = new Map<string, Listed>();
  #sawAny = false;

  constructor(source: NameSource, after: string | undefined) {
    this.#source = source;
    this.#after = after;
  }

  get size(): number {
    return this.#found.size;
  }

  add({ name, object }: NamedKey): void {
    this.#sawAny = true;
    const parts = name.split('/');
    const last = parts.pop() ?? '';
    for (let depth = 1; depth <= parts.length; depth += 1) this.#addFolder(parts.slice(0, depth).join('/'));
    if (last === '' || object === undefined || !this.#isWanted(name)) return;
    // Where a file and keys below it share a name, the listing shows the file.
    this.#found.set(name, { name, object });
  }

  #addFolder(name: string): void {
    if (!this.#found.has(name) && this.#isWanted(name)) this.#found.set(name, { name });
  }

  #isWanted(name: string): boolean {
    return name !== '' && (this.#after === undefined || name > this.#after) && this.#source.isShown(name);
  }

  /** Adds the folders that sort before the last key of a page, though their contents are listed behind it. */
  async addFoldersBefore(last: string): Promise<void> {
    const candidates: string[] = [];
    for (const { before, character } of splits(last)) {
      if (character < '/' && !before.endsWith('/') && this.#isWanted(before) && !this.#found.has(before)) {
        candidates.push(before);
      }
    }
    const firsts = await Promise.all(candidates.map((name) => this.#source.first(`${name}/`)));
    for (const [index, name] of candidates.entries()) if (firsts[index] !== undefined) this.#addFolder(name);
  }

  /** Whether the end of a page lies inside a pair of ranges whose order differs (see 2. above). */
  async splitsPair(last: string): Promise<boolean> {
    for (const { before, character } of splits(last)) {
      if (isHigh(character)) {
        if ((await this.#source.first(before, `${before}\uffff${LAST}`)) !== undefined) return true;
      } else if (isAstral(character)) {
        for (const name of this.#found.keys()) {
          if (name.startsWith(before) && isHigh(name.charAt(before.length))) return true;
        }
      }
    }
    return false;
  }

  /** Reads the whole listing and keeps the smallest names, in bounded memory. */
  async readEverything(limit: number): Promise<{ listed: Listed[]; hasMore: boolean; sawAny: boolean }> {
    let token: string | undefined;
    let position: string | undefined;
    for (;;) {
      const { names, nextToken } = await this.#source.page(position, token);
      for (const name of names) this.add(name);
      if (this.size > 2 * limit + 1000) {
        for (const name of [...this.#found.keys()].toSorted().slice(limit + 1)) this.#found.delete(name);
      }
      const last = names.at(-1)?.name;
      if (nextToken === undefined || last === undefined) return this.result(limit);
      const skipped = this.#source.skip?.(last);
      position = skipped ?? position;
      token = skipped === undefined ? nextToken : undefined;
    }
  }

  result(limit: number): { listed: Listed[]; hasMore: boolean; sawAny: boolean } {
    const sorted = [...this.#found.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
    return { listed: sorted.slice(0, limit), hasMore: sorted.length > limit, sawAny: this.#sawAny };
  }
}
