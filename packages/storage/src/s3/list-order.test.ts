import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareBytes } from './key-pages.ts';
import { listInOrder } from './list-order.ts';
import type { NamedKey, NameSource } from './list-order.ts';

const object = { etag: 'e', size: 1, lastModified: new Date(0) };

/** A listing as ListObjectsV2 defines it, over a set of keys; counts the requests. */
class ModelSource implements NameSource {
  requests = 0;
  readonly #keys: string[];
  readonly #isRecursive: boolean;
  readonly #pageKeys: number;

  constructor(keys: readonly string[], isRecursive: boolean, pageKeys: number) {
    this.#keys = [...new Set(keys)].toSorted(compareBytes);
    this.#isRecursive = isRecursive;
    this.#pageKeys = pageKeys;
  }

  async page(after: string | undefined, token: string | undefined): ReturnType<NameSource['page']> {
    this.requests += 1;
    const lines: NamedKey[] = [];
    for (const key of this.#keys) {
      if (after !== undefined && compareBytes(key, after) <= 0) continue;
      const slash = key.indexOf('/');
      if (this.#isRecursive || slash < 0) lines.push({ name: key, object });
      else if (lines.at(-1)?.name !== key.slice(0, slash + 1)) lines.push({ name: key.slice(0, slash + 1) });
    }
    const start = token === undefined ? 0 : Number(token);
    const end = start + this.#pageKeys;
    return { names: lines.slice(start, end), nextToken: end < lines.length ? String(end) : undefined };
  }

  async first(beginning: string, after?: string): Promise<string | undefined> {
    this.requests += 1;
    return this.#keys.find(
      (key) => key.startsWith(beginning) && (after === undefined || compareBytes(key, after) > 0),
    );
  }

  isShown(name: string): boolean {
    return name.split('/').every((segment) => segment !== '' && segment !== '..');
  }
}

/** What a listing must show: every file, and every folder that a key tells of. */
function expectedNames(keys: readonly string[], isRecursive: boolean): string[] {
  const names = new Set<string>();
  for (const key of keys) {
    const segments = key.split('/');
    for (let depth = 1; depth <= segments.length; depth += 1) {
      const name = segments.slice(0, depth).join('/');
      const isHidden = segments.slice(0, depth).some((segment) => segment === '' || segment === '..');
      if (!isHidden && (isRecursive || depth === 1)) names.add(name);
    }
  }
  return [...names].toSorted();
}

async function listAll(source: NameSource, limit: number): Promise<string[]> {
  const names: string[] = [];
  for (let after: string | undefined; ;) {
    const page = await listInOrder(source, after, limit);
    expect(page.listed.length).toBeLessThanOrEqual(limit);
    names.push(...page.listed.map((listed) => listed.name));
    if (!page.hasMore) return names;
    after = page.listed.at(-1)?.name;
  }
}

// Characters around the slash, and of every range whose order differs between code units and code points.
const segment = fc
  .array(fc.constantFrom('a', 'b', '-', '.', '!', '0', '\ue000', '\uff08', '\u{1f600}', '\u{10000}', 'é'), {
    maxLength: 3,
  })
  .map((characters) => characters.join(''));
const key = fc
  .array(segment, { minLength: 1, maxLength: 3 })
  .map((segments) => segments.join('/'))
  .filter((text) => text !== '');

describe('listInOrder', () => {
  it('shows every name once, in the order of code units, for any keys, pages and limits', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(key, { maxLength: 40 }),
        fc.boolean(),
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: 1, max: 12 }),
        async (keys, isRecursive, limit, pageKeys) => {
          const names = await listAll(new ModelSource(keys, isRecursive, pageKeys), limit);
          expect(names).toEqual(expectedNames(keys, isRecursive));
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('shows a file where a file and a folder share a name', async () => {
    const page = await listInOrder(new ModelSource(['a', 'a/b'], false, 10), undefined, 10);
    expect(page.listed).toEqual([{ name: 'a', object }]);
  });

  it('asks little for many names with hyphens and dots', async () => {
    const keys = Array.from({ length: 5000 }, (_, index) => `file-${String(index).padStart(4, '0')}.v1.bin`);
    const source = new ModelSource(keys, false, 1000);
    expect(await listAll(source, 999)).toEqual(keys);
    // Six pages, and for each the few beginnings of its last name that could be folders.
    expect(source.requests).toBeLessThan(6 * 4);
  });

  it('tells whether there was any key, shown or not', async () => {
    expect((await listInOrder(new ModelSource([], true, 5), undefined, 5)).sawAny).toBe(false);
    expect((await listInOrder(new ModelSource(['..'], true, 5), undefined, 5)).sawAny).toBe(true);
  });
});
