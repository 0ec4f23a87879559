import { isRoot, parseBackendPath, ROOT } from '@holdfast/bytes/backend-path';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import { HoldfastError } from '@holdfast/contract/errors';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ListOptions } from '../backend.ts';
import { encodeCursor } from './cursor.ts';
import { readPage } from './page.ts';
import { parsePageRequest } from './page-request.ts';

/** A tree as names in folders; null is a file. */
interface Tree {
  [name: string]: Tree | null;
}

interface Child {
  name: string;
  inside: Tree | null;
}

// Names around the slash in code units, so that a folder and its contents are torn apart by what stands beside it.
const name = fc.stringMatching(/^[ab!0-]{1,3}$/);
const { tree: trees } = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.dictionary(name, fc.option(tie('tree'), { depthSize: 'small' }), { maxKeys: 5 }),
}));

function childrenOf(tree: Tree): Child[] {
  return Object.entries(tree)
    .map(([own, inside]) => ({ name: own, inside }))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

function folderAt(tree: Tree, path: BackendPath): Tree {
  let at: Tree = tree;
  for (const segment of isRoot(path) ? [] : path.slice(1).split('/')) at = at[segment] ?? {};
  return at;
}

function pathsOf(tree: Tree, above = ''): string[] {
  return Object.entries(tree).flatMap(([own, inside]) => [
    `${above}/${own}`,
    ...(inside === null ? [] : pathsOf(inside, `${above}/${own}`)),
  ]);
}

async function listAll(tree: Tree, options: ListOptions, onPage?: () => void): Promise<string[]> {
  const paths: string[] = [];
  for (let cursor: string | undefined; ;) {
    const request = parsePageRequest(ROOT, { ...options, ...(cursor === undefined ? {} : { cursor }) });
    const { shown, outline } = await readPage<Child>(
      ROOT,
      childrenOf(tree),
      {
        isWalked: ({ inside }) => inside !== null,
        readBelow: async (folder) => childrenOf(folderAt(tree, folder)),
      },
      request,
      options,
    );
    expect(shown.length).toBeLessThanOrEqual(request.limit);
    expect(outline.total).toBe(options.recursive === true ? undefined : Object.keys(tree).length);
    paths.push(...shown.map(({ path }) => path));
    if (outline.nextCursor === undefined) return paths;
    cursor = outline.nextCursor;
    onPage?.();
  }
}

const inOrder = (paths: string[]): string[] => paths.toSorted((a, b) => (a < b ? -1 : 1));

describe('pages of a listing', () => {
  it('are together the whole tree in the order of paths by code units, whatever their size', async () => {
    await fc.assert(
      fc.asyncProperty(trees, fc.integer({ min: 1, max: 7 }), async (tree, limit) => {
        expect(await listAll(tree, { recursive: true, limit })).toEqual(inOrder(pathsOf(tree)));
        const direct = Object.keys(tree).map((own) => `/${own}`);
        expect(await listAll(tree, { limit })).toEqual(inOrder(direct));
      }),
    );
  });

  it('show all that stays there, once, while other things go between two pages', async () => {
    await fc.assert(
      fc.asyncProperty(trees, fc.infiniteStream(fc.nat()), async (tree, choices) => {
        const gone: string[] = [];
        const before = pathsOf(tree);
        const removeOne = (): void => {
          const top = Object.keys(tree);
          const victim = top[choices.next().value % Math.max(1, top.length)];
          if (victim === undefined) return;
          delete tree[victim];
          gone.push(`/${victim}`);
        };
        const listed = await listAll(tree, { recursive: true, limit: 2 }, removeOne);
        expect(new Set(listed).size).toBe(listed.length);
        const stays = before.filter(
          (path) => !gone.some((top) => path === top || path.startsWith(`${top}/`)),
        );
        expect(listed).toEqual(expect.arrayContaining(stays));
      }),
    );
  });

  it('do not read folders that are before them as a whole', async () => {
    const read: string[] = [];
    const reading = {
      isWalked: () => true,
      readBelow: async (folder: BackendPath) => {
        read.push(folder);
        return [];
      },
    };
    const children = [{ name: 'a' }, { name: 'b' }, { name: 'c' }];
    const after = parseBackendPath('/b/x');
    await readPage(ROOT, children, reading, { limit: 10, after }, { recursive: true });
    expect(read).toEqual(['/b', '/c']);
  });

  it('leave out names that make a path too long', async () => {
    const children = [{ name: 'a' }, { name: 'x'.repeat(5000) }];
    const reading = { isWalked: () => false, readBelow: async () => [] };
    const { shown } = await readPage(ROOT, children, reading, { limit: 10, after: undefined }, {});
    expect(shown.map(({ path }) => path)).toEqual(['/a']);
  });

  it('end when they are cancelled', async () => {
    const reading = { isWalked: () => false, readBelow: async () => [] };
    const signal = AbortSignal.abort();
    const page = readPage(ROOT, [{ name: 'a' }], reading, { limit: 1, after: undefined }, { signal });
    await expect(page).rejects.toMatchObject({ code: 'cancelled' });
  });
});

describe('a page that is asked for', () => {
  const folder = parseBackendPath('/isos');

  it('has 100 entries unless another number is named', () => {
    expect(parsePageRequest(folder, {})).toEqual({ limit: 100, after: undefined });
    const after = parseBackendPath('/isos/a');
    expect(parsePageRequest(folder, { limit: 7, cursor: encodeCursor(after) })).toEqual({ limit: 7, after });
  });

  it.each([
    [{ limit: 0 }, 'limit'],
    [{ limit: 1001 }, 'limit'],
    [{ limit: 1.5 }, 'limit'],
    [{ cursor: encodeCursor(parseBackendPath('/other/a')) }, 'cursor'],
    [{ cursor: encodeCursor(folder) }, 'cursor'],
    [{ cursor: 'not a cursor' }, 'cursor'],
    [{ cursor: '' }, 'cursor'],
  ])('is refused as %j, by the field %s', (options, field) => {
    expect(() => parsePageRequest(folder, options)).toThrow(HoldfastError);
    expect(() => parsePageRequest(folder, options)).toThrow(
      expect.objectContaining({ code: 'validation_failed', errors: [expect.objectContaining({ field })] }),
    );
  });
});
