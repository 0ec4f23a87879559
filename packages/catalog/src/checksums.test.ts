import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import type { Catalog } from './catalog.ts';
import type { ChecksumRecord } from './checksums.ts';
import { describeDialects } from './dialect-fixture.ts';
import { isInTree, treeRoot } from './path-key.ts';

const sha = (digit: string): string => digit.repeat(64);

/** Pairs that a careless comparison takes for one another, and characters that mean something to SQL or LIKE. */
const hostilePaths = [
  '/a',
  '/A',
  '/a/b',
  '/a/b/c',
  '/a0',
  '/a-b',
  '/a.b',
  '/ab',
  '/a%',
  '/a_',
  '/aXb',
  '/a%/b',
  '/a_/b',
  "/it's/;drop table checksums;--",
  '/back\\slash/\\',
  '/quote"/"',
  '/new\nline/tab\t',
  '/café/nfc',
  '/cafe\u0301/nfd',
  '/😀/😃',
  '/\uffff',
  '/\u{10ffff}',
  '/ leading and trailing ',
  '/$1/?/:name/@p',
];

describeDialects(({ dialect, open }) => {
  let catalog: Catalog;
  let backendId: string;
  beforeEach(async () => {
    catalog = await open();
    backendId = (await catalog.backends.insert({ name: 'first', type: 'local', config: {} })).id;
  });

  function record(path: string, changes: Partial<ChecksumRecord> = {}): ChecksumRecord {
    return {
      backendId,
      path,
      sha256: sha('a'),
      size: 12,
      validator: 'mtime:1;size:12',
      computedAt: new Date('2026-01-02T03:04:05.678Z'),
      ...changes,
    };
  }

  async function paths(id = backendId): Promise<string[]> {
    return (await catalog.checksums.page(id, { limit: 10_000 })).map(({ path }) => path);
  }

  test('a record is read back as it was put, and put again replaces it', async () => {
    const { checksums } = catalog;
    const first = record('/file', { size: 5_000_000_000_000 });
    await checksums.put(first);
    expect(await checksums.get(backendId, '/file')).toEqual(first);
    const second = record('/file', {
      sha256: sha('b'),
      size: 2 ** 53 - 1,
      validator: 'other',
      computedAt: new Date(1),
    });
    await checksums.put(second);
    expect(await checksums.get(backendId, '/file')).toEqual(second);
    expect(await checksums.count(backendId)).toBe(1);
    expect(await checksums.get(backendId, '/other')).toBeNull();
    expect(await checksums.get('unknown', '/file')).toBeNull();
  });

  test.each([-1, 1.5, 2 ** 53, Number.NaN])('a size of %d is refused', async (size) => {
    await expect(catalog.checksums.put(record('/file', { size }))).rejects.toMatchObject({
      code: 'invalid_request',
    });
  });

  test.each(['/nul\0byte', '/lone\ud800surrogate'])('the path %j is refused everywhere', async (path) => {
    const { checksums } = catalog;
    const refusal = { code: 'invalid_path' };
    await expect(checksums.put(record(path))).rejects.toMatchObject(refusal);
    await expect(checksums.get(backendId, path)).rejects.toMatchObject(refusal);
    await expect(checksums.getMany(backendId, [path])).rejects.toMatchObject(refusal);
    await expect(checksums.removePaths(backendId, [path])).rejects.toMatchObject(refusal);
    await expect(checksums.removeTree(backendId, path)).rejects.toMatchObject(refusal);
    await expect(checksums.moveTree(backendId, '/a', path)).rejects.toMatchObject(refusal);
    await expect(checksums.page(backendId, { after: path, limit: 1 })).rejects.toMatchObject(refusal);
  });

  test('a record for a backend that is gone is refused', async () => {
    await expect(catalog.checksums.put(record('/file', { backendId: 'gone' }))).rejects.toMatchObject({
      code: 'backend_not_found',
      message: expect.stringContaining('gone'),
    });
  });

  test('hostile paths are told apart and kept exactly', async () => {
    const { checksums } = catalog;
    const records = hostilePaths.map((path, index) => record(path, { size: index }));
    await checksums.putMany(records);
    expect(await checksums.count(backendId)).toBe(hostilePaths.length);
    for (const expected of records) expect(await checksums.get(backendId, expected.path)).toEqual(expected);
    const found = await checksums.getMany(backendId, [...hostilePaths, '/not there']);
    expect(new Map(records.map((expected) => [expected.path, expected]))).toEqual(found);
  });

  test('a content is found below one folder of one backend', async () => {
    const { checksums } = catalog;
    await checksums.putMany(['/a', '/a/one', '/a/two', '/ab'].map((path) => record(path)));
    const find = async (options: { backendId?: string; folder?: string }): Promise<string[]> =>
      (await checksums.findBySha256(sha('a'), { limit: 10, ...options })).rows.map(({ path }) => path);
    expect(await find({ backendId })).toEqual(['/a', '/a/one', '/a/two', '/ab']);
    expect(await find({ backendId, folder: '/a' })).toEqual(['/a', '/a/one', '/a/two']);
    expect(await find({ backendId, folder: '/' })).toHaveLength(4);
    expect(await find({ backendId: 'another' })).toEqual([]);
    const { nextCursor: cursor } = await checksums.findBySha256(sha('a'), {
      limit: 2,
      backendId,
      folder: '/a',
    });
    const rest = await checksums.findBySha256(sha('a'), { limit: 2, backendId, folder: '/a', cursor });
    expect(rest.rows.map(({ path }) => path)).toEqual(['/a/two']);
  });

  test('paths of 32,000 bytes that differ in the last one are told apart', async () => {
    const { checksums } = catalog;
    // Characters that do not compress: PostgreSQL would index a compressible text of any length.
    let seed = 1;
    const noise = Array.from({ length: 8_000 }, () => {
      seed = (seed * 48_271) % 2_147_483_647;
      return String.fromCodePoint(0x1_0000 + (seed % 0xf_0000));
    }).join('');
    const [one, two] = [`/${noise}/1`, `/${noise}/2`];
    await checksums.putMany([record(one, { size: 1 }), record(two, { size: 2 }), record(`/${noise}`)]);
    const found = await checksums.getMany(backendId, [one, two, '/none', `/${noise}/3`]);
    expect(new Set(found.keys())).toEqual(new Set([one, two]));
    const { rows, nextCursor } = await checksums.findBySha256(sha('a'), { limit: 2 });
    const rest = await checksums.findBySha256(sha('a'), { limit: 2, cursor: nextCursor });
    expect(new Set([...rows, ...rest.rows].map(({ path }) => path))).toEqual(
      new Set([one, two, `/${noise}`]),
    );
    expect((await checksums.get(backendId, one))?.size).toBe(1);
    expect((await checksums.get(backendId, two))?.size).toBe(2);
    expect((await checksums.page(backendId, { after: one, limit: 10 })).map(({ path }) => path)).toEqual([
      two,
    ]);
    expect(await checksums.moveTree(backendId, `/${noise}`, '/short')).toBe(3);
    expect(await paths()).toEqual(['/short', '/short/1', '/short/2']);
    expect(await checksums.moveTree(backendId, '/short', `/${noise}`)).toBe(3);
    expect((await checksums.get(backendId, two))?.size).toBe(2);
    expect(await checksums.removeTree(backendId, `/${noise}`)).toBe(3);
  });

  test('many records are put and asked for at once; of two for one path the later counts', async () => {
    const { checksums } = catalog;
    const records = Array.from({ length: 1_800 }, (_, index) => record(`/many/${index}`, { size: index }));
    await checksums.putMany([record('/many/7', { size: 999_999 }), ...records]);
    const found = await checksums.getMany(
      backendId,
      Array.from({ length: 2_500 }, (_, index) => `/many/${index}`),
    );
    expect(found.size).toBe(1_800);
    expect(found.get('/many/7')?.size).toBe(7);
    await checksums.putMany([]);
    expect(await checksums.getMany(backendId, [])).toEqual(new Map());
    expect(await checksums.removePaths(backendId, ['/many/1', '/many/2', '/none', '/many'])).toBe(2);
    expect(await checksums.count(backendId)).toBe(1_798);
  });

  test('a batch that fails is not written in part', async () => {
    const records = Array.from({ length: 1_200 }, (_, index) => record(`/${index}`));
    records.push(record('/last', { backendId: 'gone' }));
    await expect(catalog.checksums.putMany(records)).rejects.toMatchObject({ code: 'backend_not_found' });
    expect(await catalog.checksums.count(backendId)).toBe(0);
  });

  test('writers of the same paths in opposite order at once all succeed', async () => {
    const records = Array.from({ length: 700 }, (_, index) => record(`/${index}`));
    const writes = Array.from({ length: 8 }, (_, index) =>
      catalog.checksums.putMany(index % 2 === 0 ? records : records.toReversed()),
    );
    await Promise.all(writes);
    expect(await catalog.checksums.count(backendId)).toBe(700);
  });

  test('a record that another transaction has not committed is not seen', async () => {
    const { checksums } = catalog;
    const records = Array.from({ length: 3_000 }, (_, index) => record(`/${index}`));
    let settled = false;
    const failing = checksums.putMany([...records, record('/x', { backendId: '~gone' })]).finally(() => {
      settled = true;
    });
    const asked = (async () => {
      let seen = 0;
      while (!settled) {
        if ((await checksums.get(backendId, '/1')) !== null) seen += 1;
        // SQLite's transactions pass within one turn of the event loop, so only microtasks come between.
        if (dialect === 'postgres') await new Promise((resolve) => setImmediate(resolve));
      }
      return seen;
    })();
    await expect(failing).rejects.toMatchObject({ code: 'backend_not_found' });
    expect(await asked).toBe(0);
  });

  describe('trees', () => {
    test('a tree is the path and what lies below it, segment by segment', async () => {
      const { checksums } = catalog;
      await checksums.putMany(
        ['/a', '/a/b', '/a/b/c', '/a0', '/a-b', '/ab', '/A/b', '/b/a/b'].map((p) => record(p)),
      );
      expect(await checksums.removeTree(backendId, '/a')).toBe(3);
      expect(await paths()).toEqual(['/A/b', '/a-b', '/a0', '/ab', '/b/a/b']);
    });

    test('a trailing slash changes nothing, and / is everything of that backend alone', async () => {
      const { checksums } = catalog;
      const other = (await catalog.backends.insert({ name: 'other', type: 'local', config: {} })).id;
      await checksums.putMany(['/a', '/a/b', '/c'].map((path) => record(path)));
      await checksums.put(record('/a/b', { backendId: other }));
      expect(await checksums.removeTree(backendId, '/a/')).toBe(2);
      expect(await checksums.removeTree(backendId, '/')).toBe(1);
      expect(await paths(other)).toEqual(['/a/b']);
    });

    test('% and _ in a folder name stand for themselves', async () => {
      const { checksums } = catalog;
      await checksums.putMany(['/%/x', '/a/x', '/_/x', '/b/x'].map((path) => record(path)));
      expect(await checksums.removeTree(backendId, '/%')).toBe(1);
      expect(await checksums.removeTree(backendId, '/_')).toBe(1);
      expect(await paths()).toEqual(['/a/x', '/b/x']);
    });

    test('moving keeps everything but the path, and drops what was at the destination', async () => {
      const { checksums } = catalog;
      await checksums.putMany([
        record('/from', { size: 1 }),
        record('/from/😀/x', { size: 2, sha256: sha('c'), validator: 'kept', computedAt: new Date(5) }),
        record('/from-not', { size: 3 }),
        record('/to/old', { size: 4 }),
        record('/to', { size: 5 }),
        record('/to0', { size: 6 }),
      ]);
      expect(await checksums.moveTree(backendId, '/from', '/to')).toBe(2);
      expect(await paths()).toEqual(['/from-not', '/to', '/to/😀/x', '/to0']);
      expect(await checksums.get(backendId, '/to/😀/x')).toEqual(
        record('/to/😀/x', { size: 2, sha256: sha('c'), validator: 'kept', computedAt: new Date(5) }),
      );
      expect((await checksums.get(backendId, '/to'))?.size).toBe(1);
      expect(await checksums.get(backendId, '/from')).toBeNull();
    });

    test('moving into the own tree, or onto an ancestor, mixes nothing up', async () => {
      const { checksums } = catalog;
      const sizes = async (): Promise<unknown> =>
        (await checksums.page(backendId, { limit: 100 })).map(({ path, size }) => [path, size]);
      await checksums.putMany(['/a', '/a/b', '/a/b/b', '/ab'].map((path, size) => record(path, { size })));
      expect(await checksums.moveTree(backendId, '/a', '/a/b')).toBe(3);
      expect(await sizes()).toEqual([
        ['/a/b', 0],
        ['/a/b/b', 1],
        ['/a/b/b/b', 2],
        ['/ab', 3],
      ]);
      await checksums.put(record('/a/c', { size: 4 }));
      expect(await checksums.moveTree(backendId, '/a/b', '/a')).toBe(3);
      expect(await sizes()).toEqual([
        ['/a', 0],
        ['/a/b', 1],
        ['/a/b/b', 2],
        ['/ab', 3],
      ]);
    });

    test('moving a tree onto itself changes nothing', async () => {
      await catalog.checksums.put(record('/a/b'));
      expect(await catalog.checksums.moveTree(backendId, '/a', '/a/')).toBe(0);
      expect(await paths()).toEqual(['/a/b']);
    });

    test('any trees are removed and moved as a plain model says', async () => {
      const segment = fc.constantFrom(
        'a',
        'b',
        'a0',
        'a-b',
        'ab',
        '%',
        '_',
        'é',
        'e\u0301',
        '😀',
        '\u{10ffff}',
      );
      const path = fc
        .array(segment, { minLength: 1, maxLength: 3 })
        .map((segments) => `/${segments.join('/')}`);
      const step = fc.oneof(
        fc.record({ kind: fc.constant('remove' as const), from: path, to: path }),
        fc.record({ kind: fc.constant('move' as const), from: path, to: path }),
      );
      await fc.assert(
        fc.asyncProperty(
          fc.uniqueArray(path, { maxLength: 12 }),
          fc.array(step, { minLength: 1, maxLength: 3 }),
          async (initial, steps) => {
            const { checksums } = catalog;
            await checksums.removeTree(backendId, '/');
            let model = new Map(initial.map((name, index) => [name, index]));
            await checksums.putMany(initial.map((name, index) => record(name, { size: index })));
            for (const { kind, from, to } of steps) {
              const inside = [...model].filter(([name]) => isInTree(treeRoot(from), name));
              if (kind === 'remove') {
                expect(await checksums.removeTree(backendId, from)).toBe(inside.length);
                for (const [name] of inside) model.delete(name);
              } else {
                const moved = await checksums.moveTree(backendId, from, to);
                expect(moved).toBe(from === to ? 0 : inside.length);
                if (from !== to) {
                  const rest = [...model].filter(
                    ([name]) => !isInTree(treeRoot(from), name) && !isInTree(treeRoot(to), name),
                  );
                  model = new Map([
                    ...rest,
                    ...inside.map(([name, size]) => [`${to}${name.slice(from.length)}`, size] as const),
                  ]);
                }
              }
              const rows = await checksums.page(backendId, { limit: 1_000 });
              expect(new Map(rows.map(({ path: name, size }) => [name, size]))).toEqual(model);
              for (const name of model.keys()) expect(await checksums.get(backendId, name)).not.toBeNull();
            }
          },
        ),
        { numRuns: 40 },
      );
    });
  });

  describe('lists', () => {
    test('pages go through 2,500 paths exactly once, in the order of their bytes', async () => {
      const { checksums } = catalog;
      const all = [
        ...hostilePaths,
        ...Array.from({ length: 2_500 }, (_, index) => `/dir-${index % 7}/é-${index}`),
      ];
      await checksums.putMany(all.map((path) => record(path)));
      const seen: string[] = [];
      for (;;) {
        const page = await checksums.page(backendId, { after: seen.at(-1), limit: 400 });
        seen.push(...page.map(({ path }) => path));
        if (page.length < 400) break;
      }
      expect(seen).toEqual(all.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
    });

    test('the places of one content are listed exactly once, over all backends', async () => {
      const { checksums } = catalog;
      const other = (await catalog.backends.insert({ name: 'other', type: 'local', config: {} })).id;
      const wanted = [backendId, other].flatMap((id) =>
        Array.from({ length: 1_250 }, (_, index) => record(`/${index}`, { backendId: id, sha256: sha('d') })),
      );
      await checksums.putMany([...wanted, record('/else', { sha256: sha('e') })]);
      const seen: string[] = [];
      let cursor: string | undefined;
      do {
        const page = await checksums.findBySha256(sha('d'), { limit: 333, cursor });
        seen.push(...page.rows.map((row) => `${row.backendId}:${row.path}`));
        cursor = page.nextCursor;
      } while (cursor !== undefined);
      expect(seen).toHaveLength(2_500);
      expect(new Set(seen)).toEqual(new Set(wanted.map((row) => `${row.backendId}:${row.path}`)));
      expect(await checksums.findBySha256(sha('f'), { limit: 10 })).toEqual({ rows: [] });
    });

    test('a cursor of another list and a limit of 0 are refused', async () => {
      const nodes = Buffer.from(JSON.stringify(['nodes', 1, 'id'])).toString('base64url');
      await expect(
        catalog.checksums.findBySha256(sha('d'), { limit: 1, cursor: nodes }),
      ).rejects.toMatchObject({
        code: 'invalid_request',
        errors: [{ field: 'cursor' }],
      });
      await expect(catalog.checksums.page(backendId, { limit: 0 })).rejects.toMatchObject({
        code: 'invalid_request',
        errors: [{ field: 'limit' }],
      });
    });
  });
});
