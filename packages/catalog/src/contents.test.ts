import { beforeEach, describe, expect, test } from 'vitest';
import type { Catalog } from './catalog.ts';
import type { Content } from './contents.ts';
import { describeDialects } from './dialect-fixture.ts';
import type { HostFileReach } from './host-files.ts';
import { UploadFixture, digest, newKey, noticeOf } from './upload-fixture.ts';

const all: HostFileReach = { kind: 'all' };

describeDialects(({ open, freshUrl }) => {
  let catalog: Catalog;
  let fixture: UploadFixture;
  beforeEach(async () => {
    catalog = await open();
    fixture = await UploadFixture.make(catalog);
  });

  test('are paged in order, all of them or those of some files', async () => {
    const { contents } = catalog;
    for (const name of ['a', 'b', 'c'])
      await fixture.record({ filepath: `/x/${name}`, sha256: digest(name) });
    await fixture.record({ hostname: 'beta', filepath: '/y/a', sha256: digest('a') });
    const shas = async (options: Parameters<typeof contents.page>[0]): Promise<[string[], string?]> => {
      const { contents: found, next } = await contents.page(options);
      const names = found.map(({ sha256 }) => sha256);
      return next === undefined ? [names] : [names, next];
    };
    const [a, b, c] = [digest('a'), digest('b'), digest('c')];
    expect(await shas({ limit: 2 })).toEqual([[a, b], b]);
    expect(await shas({ limit: 2, after: b })).toEqual([[c]]);
    expect(await shas({ limit: 9, hostname: 'beta' })).toEqual([[a]]);
    expect(await shas({ limit: 9, pathPrefix: '/x/' })).toEqual([[a, b, c]]);
    expect(await shas({ limit: 9, hostname: 'beta', pathPrefix: '/x/' })).toEqual([[]]);
    const named = { sha256s: [c, digest('unknown'), a, a], limit: 2 };
    const first = await shas(named);
    const rest = await shas({ ...named, after: first[1] ?? '' });
    expect([...first[0], ...rest[0]].toSorted()).toEqual([a, c]);
    expect(await shas({ sha256s: [], limit: 2 })).toEqual([[]]);
  });

  test('keep what was found of them until they are published anew', async () => {
    const { contents } = catalog;
    await fixture.record();
    const content = { sha256: digest('a'), backendId: fixture.backendId };
    expect(await contents.noteDamage(content, null)).toBe(false);
    expect(await contents.noteDamage(content, 'mismatch')).toBe(true);
    expect(await contents.noteDamage(content, 'mismatch')).toBe(false);
    expect(await contents.noteDamage({ ...content, backendId: 'another' }, 'missing')).toBe(false);
    expect(await contents.get(content.sha256)).toMatchObject({ damage: 'mismatch' });
    const known = { size: 100, backendId: fixture.backendId, published: false };
    await fixture.record({ filepath: '/refers', content: known });
    expect(await contents.get(content.sha256)).toMatchObject({ damage: 'mismatch' });
    await fixture.record({ filepath: '/brings' });
    expect(await contents.get(content.sha256)).toMatchObject({ damage: null });
  });

  /** Contents that only deleted files refer to, noted at 2,000. */
  async function deleted(...names: string[]): Promise<void> {
    for (const name of names) {
      const file = await fixture.record({ filepath: `/${name}`, sha256: digest(name) });
      await catalog.hostFiles.markDeletedMany([noticeOf(file)], { reach: all, at: new Date(2_000) });
    }
  }

  /** Contents that nothing refers to. */
  async function unreferenced(...names: string[]): Promise<void> {
    await deleted(...names);
    await catalog.hostFiles.purge(new Date(2_001), 100);
  }

  async function collectable(options: { deletedBefore?: Date; limit?: number } = {}): Promise<string[]> {
    const found: string[] = [];
    let after: string | undefined;
    do {
      const page = await catalog.contents.unreferenced({
        limit: options.limit ?? 10,
        ...(options.deletedBefore && { deletedBefore: options.deletedBefore }),
        ...(after !== undefined && { after }),
      });
      found.push(...page.contents.map(({ sha256 }) => sha256));
      after = page.next;
    } while (after !== undefined);
    return found;
  }

  const names = (contents: readonly Content[]): string[] => contents.map(({ sha256 }) => sha256);

  test('contents are found by their digests', async () => {
    const { contents } = catalog;
    await fixture.record({ sha256: digest('a') });
    await fixture.record({ sha256: digest('b'), filepath: '/b' });
    const many = [...Array.from({ length: 1_200 }, (_, index) => digest(index)), digest('a'), digest('b')];
    expect(new Set((await contents.getMany(many)).keys())).toEqual(new Set([digest('a'), digest('b')]));
    expect(await contents.get(digest('a'))).toMatchObject({ sha256: digest('a'), size: 100 });
    expect(await contents.get(digest('c'))).toBeNull();
  });

  test('a content is kept once, however many files have it', async () => {
    const { contents } = catalog;
    for (const hostname of ['alpha', 'beta', 'gamma']) await fixture.record({ hostname });
    expect(await contents.stats()).toEqual({ contents: 1, bytes: 100, hostFiles: 3, hostFileBytes: 300 });
    expect(await contents.countByBackend(fixture.backendId)).toEqual({ contents: 1, bytes: 100 });
    expect(await contents.countByBackend('none')).toEqual({ contents: 0, bytes: 0 });
  });

  test('sums go beyond what a double adds exactly in floating point', async () => {
    const size = 2 ** 52;
    await fixture.record({ content: { size, backendId: fixture.backendId, published: true } });
    await fixture.record({
      filepath: '/b',
      sha256: digest('b'),
      content: { size: size - 1, backendId: fixture.backendId, published: true },
    });
    expect(await catalog.contents.stats()).toMatchObject({ bytes: 2 ** 53 - 1 });
  });

  test('the contents of a backend are counted', async () => {
    const { contents, backends } = catalog;
    const second = await backends.insert({ name: 'second', type: 'local', config: {} });
    for (let index = 0; index < 6; index += 1) {
      const backendId = index === 3 ? second.id : fixture.backendId;
      await fixture.record({
        filepath: `/${index}`,
        sha256: digest(index),
        content: { size: index, backendId, published: true },
      });
    }
    expect(await contents.countByBackend(fixture.backendId)).toEqual({ contents: 5, bytes: 12 });
    expect(await contents.countByBackend(second.id)).toEqual({ contents: 1, bytes: 3 });
  });

  describe('what nothing refers to', () => {
    test('is neither referred to by a version, deleted or replaced, nor by a session that completes', async () => {
      await fixture.record({ sha256: digest('replaced') });
      await fixture.record({ sha256: digest('current') });
      await unreferenced('gone', 'wanted');
      await deleted('deleted');
      await fixture.completing(digest('wanted'));
      expect(await collectable()).toEqual([digest('gone')]);
      const { id } = await catalog.uploads.insert(fixture.upload({ sha256: digest('gone') }));
      // Announced only: it is asked for and verified before it refers to anything.
      expect(await collectable()).toEqual([digest('gone')]);
      await catalog.uploads.transition(id, ['initiated'], 'completing');
      expect(await collectable()).toEqual([]);
    });

    test('is found page by page, whatever the pages hold', async () => {
      const free = ['m', 'a', 'z', 'q'];
      await unreferenced(...free);
      for (let index = 0; index < 20; index += 1) {
        await fixture.record({ filepath: `/${index}`, sha256: digest(index) });
      }
      for (const limit of [1, 3, 7, 100]) {
        expect(await collectable({ limit })).toEqual(free.map(digest).toSorted());
      }
      expect(await catalog.contents.unreferencedTotal()).toEqual({ contents: 4, bytes: 400 });
    });

    test('can be foretold: as if the purge had run', async () => {
      const { contents, hostFiles } = catalog;
      await unreferenced('gone');
      await deleted('deleted', 'shared');
      await fixture.record({ hostname: 'beta', sha256: digest('shared') });
      const deletedBefore = new Date(2_001);
      expect(await collectable({ deletedBefore: new Date(2_000) })).toEqual([digest('gone')]);
      const foretold = await collectable({ deletedBefore });
      const total = await contents.unreferencedTotal({ deletedBefore });
      expect(foretold).toEqual([digest('gone'), digest('deleted')].toSorted());
      const purgeable = await hostFiles.purgeable(deletedBefore);
      expect(await hostFiles.purge(deletedBefore, 100)).toEqual(purgeable);
      expect(await collectable()).toEqual(foretold);
      expect(await contents.unreferencedTotal()).toEqual(total);
    });
  });

  describe('the removal of a content', () => {
    test('goes in two steps, and can be taken back', async () => {
      const { contents } = catalog;
      await unreferenced('a', 'b', 'c');
      const marked = await contents.beginRemoval(['a', 'b', 'c', 'none'].map(digest), 'hub-1');
      expect(names(marked).toSorted()).toEqual(['a', 'b', 'c'].map(digest));
      expect(marked[0]).toMatchObject({ state: 'removing', removingBy: 'hub-1', size: 100 });
      expect(await collectable()).toEqual([]);
      expect(await contents.beginRemoval([digest('a')], 'hub-2')).toEqual([]);
      expect(names(await contents.removing())).toEqual(['a', 'b', 'c'].map(digest));
      expect(names(await contents.removing('hub-1'))).toHaveLength(3);
      expect(await contents.removing('hub-2')).toEqual([]);
      expect(await contents.revive(digest('b'), 'hub-2')).toBe(false);
      expect(await contents.revive(digest('b'), 'hub-1')).toBe(true);
      expect(await contents.revive(digest('b'), 'hub-1')).toBe(false);
      expect(await contents.get(digest('b'))).toMatchObject({ state: 'stored', removingBy: null });
      expect(await contents.finishRemoval([digest('a')], 'hub-2')).toBe(0);
      expect(await contents.finishRemoval(['a', 'b'].map(digest), 'hub-1')).toBe(1);
      expect(names(await contents.removing())).toEqual([digest('c')]);
    });

    test('does not begin for what something refers to', async () => {
      const { contents } = catalog;
      await fixture.record({ sha256: digest('current') });
      await unreferenced('wanted', 'gone');
      await deleted('deleted');
      await fixture.completing(digest('wanted'));
      const marked = await contents.beginRemoval(
        ['current', 'deleted', 'wanted', 'gone'].map(digest),
        'hub-1',
      );
      expect(names(marked)).toEqual([digest('gone')]);
    });

    test('keeps files from referring to it', async () => {
      const { contents, hostFiles } = catalog;
      await unreferenced('a');
      await contents.beginRemoval([digest('a')], 'hub-1');
      expect(await hostFiles.record(fixture.file(), new Date(3_000))).toEqual({
        kind: 'content_removing',
        removingBy: 'hub-1',
      });
      await contents.finishRemoval([digest('a')], 'hub-1');
      const { content: _kept, ...unknown } = fixture.file();
      expect(await hostFiles.record(unknown, new Date(3_000))).toEqual({ kind: 'content_missing' });
      expect(await hostFiles.record(fixture.file(), new Date(3_000))).toMatchObject({ kind: 'recorded' });
    });

    test('and a file that comes at the same moment: one of them wins, and no file is without its content', async () => {
      const url = await freshUrl();
      const hubs = [await open(url), await open(url)] as const;
      const shared = await UploadFixture.make(hubs[0]);
      const count = 40;
      for (let index = 0; index < count; index += 1) {
        const file = await shared.record({ filepath: `/${index}`, sha256: digest(index) });
        await hubs[0].hostFiles.markDeletedMany([noticeOf(file)], { reach: all, at: new Date(2_000) });
      }
      await hubs[0].hostFiles.purge(new Date(2_001), count);
      const digests = Array.from({ length: count }, (_, index) => digest(index));
      const [removals, records] = await Promise.all([
        Promise.all(digests.map((sha256) => hubs[0].contents.beginRemoval([sha256], 'hub-1'))),
        Promise.all(
          digests.map((sha256, index) => {
            const { content: _kept, ...file } = shared.file({ filepath: `/new/${index}`, sha256 });
            return hubs[1].hostFiles.record(file, new Date(3_000));
          }),
        ),
      ]);
      for (const [index, record] of records.entries()) {
        expect(record.kind).toBe(removals[index]?.length === 0 ? 'recorded' : 'content_removing');
      }
      // The foreign key would refuse it otherwise.
      expect(await hubs[0].contents.finishRemoval(digests, 'hub-1')).toBe(
        removals.filter((removal) => removal.length > 0).length,
      );
    });
  });

  describe('a backend', () => {
    test('that holds contents or takes uploads is not removed', async () => {
      const { backends, uploads, contents } = catalog;
      const { id } = await uploads.insert(fixture.upload());
      await expect(backends.remove(fixture.backendId)).rejects.toMatchObject({
        code: 'backend_in_use',
        message: expect.stringContaining('1 upload is under way'),
      });
      await uploads.transition(id, ['initiated'], 'aborted');
      await unreferenced('a');
      await expect(backends.remove(fixture.backendId)).rejects.toMatchObject({
        code: 'backend_in_use',
        message: expect.stringContaining('1 content'),
      });
      await contents.beginRemoval([digest('a')], 'hub-1');
      await contents.finishRemoval([digest('a')], 'hub-1');
      expect(await backends.remove(fixture.backendId)).toBe(true);
      expect(await backends.remove(fixture.backendId)).toBe(false);
    });

    test('takes with it by force what it holds, and nothing else', async () => {
      const { backends, uploads, contents, hostFiles, keys } = catalog;
      const second = await backends.insert({ name: 'second', type: 'local', config: {} });
      const there = { size: 7, backendId: second.id, published: true };
      const keyId = await newKey(catalog);
      await fixture.record({ sha256: digest('v1') }, 1_000);
      await fixture.record({ sha256: digest('v2') }, 2_000);
      await fixture.record({ sha256: digest('v3'), content: there }, 3_000);
      await hostFiles.recordMany(
        Array.from({ length: 1_100 }, (_, index) =>
          fixture.file({ keyId, filepath: `/${index}`, sha256: digest('many'), content: there }),
        ),
        new Date(1_000),
      );
      const lost = await uploads.insert(fixture.upload({ backendId: second.id }));
      const kept = await uploads.insert(fixture.upload());
      expect(await backends.remove(second.id, { force: true })).toBe(true);
      expect(await uploads.get(lost.id)).toMatchObject({
        status: 'failed',
        errorCode: 'backend_not_found',
        errorDetail: expect.stringContaining('"second"'),
      });
      expect(await uploads.get(kept.id)).toMatchObject({ status: 'initiated' });
      const { rows } = await hostFiles.list({ reach: all, status: 'all', versions: 'all', limit: 10 });
      expect(rows.map(({ version, isCurrent }) => [version, isCurrent])).toEqual([
        [2, true],
        [1, false],
      ]);
      // The numbers go on from what is left.
      expect(await fixture.record({ sha256: digest('v1') }, 4_000)).toMatchObject({ version: 3 });
      expect(await contents.stats()).toMatchObject({ contents: 2, hostFiles: 3 });
      expect(await keys.usage(keyId)).toMatchObject({ bytes: 0, files: 0 });
      expect(await keys.usage(fixture.keyId)).toEqual({
        bytes: 300,
        files: 3,
        reservedBytes: 100,
        reservedFiles: 1,
      });
    });
  });
});
