import { beforeEach, describe, expect, test } from 'vitest';
import type { Catalog } from './catalog.ts';
import { describeDialects } from './dialect-fixture.ts';
import type { HostFile, HostFileListOptions, HostFileReach } from './host-files.ts';
import { UploadFixture, digest, newKey, noticeOf } from './upload-fixture.ts';

const all: HostFileReach = { kind: 'all' };

/** Pairs that a careless comparison takes for one another, and characters that mean something to SQL or LIKE. */
const hostilePaths = [
  '/a',
  '/A',
  '/a/b',
  '/a0',
  '/a%',
  '/a_',
  '/aX',
  'C:\\Users\\ada\\plan.txt',
  "/it's/;drop table host_files;--",
  '/new\nline/tab\t',
  '/café',
  '/cafe\u0301',
  '/😀',
  '/\uffff',
  '/\u{10ffff}',
  ' /blank ',
  '../../etc/passwd',
];

describeDialects(({ open, freshUrl }) => {
  let catalog: Catalog;
  let fixture: UploadFixture;
  beforeEach(async () => {
    catalog = await open();
    fixture = await UploadFixture.make(catalog);
  });

  async function markDeleted(file: HostFile, at: number, deletedAt?: Date): Promise<HostFile> {
    const notice = { ...noticeOf(file), ...(deletedAt && { deletedAt }) };
    const [answer] = await catalog.hostFiles.markDeletedMany([notice], { reach: all, at: new Date(at) });
    if (answer?.kind !== 'deleted') throw new Error('The file was not marked.');
    return answer.file;
  }

  async function listed(options: Partial<HostFileListOptions> = {}): Promise<HostFile[]> {
    const files: HostFile[] = [];
    let cursor: string | undefined;
    let total: number;
    do {
      const page = await catalog.hostFiles.list({
        reach: all,
        status: 'all',
        versions: 'all',
        limit: 100,
        ...options,
        ...(cursor !== undefined && { cursor }),
      });
      files.push(...page.rows);
      total = page.total;
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    expect(files).toHaveLength(total);
    return files;
  }

  async function tree(at: number, options: Partial<Parameters<Catalog['hostFiles']['treeAt']>[0]> = {}) {
    const files: HostFile[] = [];
    let after: string | undefined;
    do {
      const page = await catalog.hostFiles.treeAt({
        hostname: 'alpha',
        at: new Date(at),
        reach: all,
        limit: 3,
        ...options,
        ...(after !== undefined && { after }),
      });
      files.push(...page.files);
      after = page.next;
    } while (after !== undefined);
    return files.map(({ filepath, version }) => `${filepath} ${version}`);
  }

  describe('a file that was seen', () => {
    test('becomes its first version, and is read back', async () => {
      const { hostFiles } = catalog;
      const file = await fixture.record({ mtime: new Date(-7), mode: 0o4755 }, 1_000);
      expect(file).toEqual({
        id: file.id,
        hostname: 'alpha',
        filepath: '/plan.txt',
        version: 1,
        sha256: digest('a'),
        size: 100,
        mtime: new Date(-7),
        mode: 0o4755,
        isCurrent: true,
        deletedAt: null,
        deletionNotedAt: null,
        keyId: fixture.keyId,
        actor: 'agent',
        createdAt: new Date(1_000),
      });
      expect(await hostFiles.get(file.id, all)).toEqual(file);
      expect(await hostFiles.current('alpha', '/plan.txt', all)).toEqual(file);
      expect(await hostFiles.current('beta', '/plan.txt', all)).toBeNull();
      expect(await hostFiles.get('none', all)).toBeNull();
    });

    test('again with the same bytes stays that version, with newer mtime and mode', async () => {
      const { hostFiles, keys } = catalog;
      const first = await fixture.record({ mtime: new Date(1), mode: 0o600 });
      const answer = await hostFiles.record(fixture.file({ mtime: new Date(2) }), new Date(5_000));
      expect(answer).toEqual({ kind: 'recorded', created: false, file: { ...first, mtime: new Date(2) } });
      expect(await hostFiles.get(first.id, all)).toEqual({ ...first, mtime: new Date(2) });
      expect(await keys.usage(fixture.keyId)).toMatchObject({ bytes: 100, files: 1 });
    });

    test('with other bytes becomes the next version, and the one before stays', async () => {
      const { keys } = catalog;
      await fixture.record({ sha256: digest('a') }, 1_000);
      await fixture.record({ sha256: digest('b') }, 2_000);
      await fixture.record({ sha256: digest('a') }, 3_000);
      expect((await listed()).map(({ version, sha256, isCurrent }) => [version, sha256, isCurrent])).toEqual([
        [3, digest('a'), true],
        [2, digest('b'), false],
        [1, digest('a'), false],
      ]);
      expect(await keys.usage(fixture.keyId)).toMatchObject({ bytes: 300, files: 3 });
    });

    test('takes the size that the vault knows', async () => {
      await fixture.record();
      const lying = { size: 1, backendId: fixture.backendId, published: false };
      expect(await fixture.record({ filepath: '/b', content: lying })).toMatchObject({ size: 100 });
    });

    test.each(['/nul\0byte', '/lone\ud800surrogate'])(
      'at the path %j is refused everywhere',
      async (filepath) => {
        const { hostFiles } = catalog;
        const refusal = { code: 'invalid_path' };
        const at = new Date(1);
        await expect(hostFiles.record(fixture.file({ filepath }), at)).rejects.toMatchObject(refusal);
        await expect(hostFiles.current('alpha', filepath, all)).rejects.toMatchObject(refusal);
        const notice = { hostname: 'alpha', filepath, sha256: digest('a') };
        await expect(hostFiles.markDeletedMany([notice], { reach: all, at })).rejects.toMatchObject(refusal);
        await expect(listed({ pathPrefix: filepath })).rejects.toMatchObject(refusal);
        await expect(tree(1, { after: filepath })).rejects.toMatchObject(refusal);
      },
    );

    test('on a backend that is gone is refused', async () => {
      const content = { size: 1, backendId: 'gone', published: true };
      await expect(catalog.hostFiles.record(fixture.file({ content }), new Date(1))).rejects.toMatchObject({
        code: 'backend_not_found',
        message: expect.stringContaining('gone'),
      });
    });
  });

  describe('many files', () => {
    test('are recorded together, each answered on its own', async () => {
      const { hostFiles, contents } = catalog;
      const { content: _kept, ...unknown } = fixture.file({ filepath: '/unknown', sha256: digest('x') });
      const answers = await hostFiles.recordMany(
        [
          fixture.file({ filepath: '/1' }),
          unknown,
          fixture.file({ filepath: '/2' }),
          fixture.file({ filepath: '/1', sha256: digest('b') }),
          fixture.file({ filepath: '/1', sha256: digest('b'), mode: 0o600 }),
        ],
        new Date(1_000),
      );
      expect(answers).toMatchObject([
        { kind: 'recorded', created: true, file: { filepath: '/1', version: 1, isCurrent: false } },
        { kind: 'content_missing' },
        { kind: 'recorded', created: true, file: { filepath: '/2', version: 1 } },
        { kind: 'recorded', created: true, file: { filepath: '/1', version: 2, isCurrent: true } },
        { kind: 'recorded', created: false, file: { filepath: '/1', version: 2, mode: 0o600 } },
      ]);
      expect(await contents.stats()).toMatchObject({ contents: 2, hostFiles: 3 });
      expect(await hostFiles.recordMany([], new Date(1))).toEqual([]);
    });

    test('of a thousand, over several machines, are recorded and recorded again', async () => {
      const { hostFiles, keys } = catalog;
      const files = Array.from({ length: 1_000 }, (_, index) =>
        fixture.file({ hostname: `host-${index % 7}`, filepath: `/${index}`, sha256: digest(index % 300) }),
      );
      const answers = await hostFiles.recordMany(files, new Date(1_000));
      expect(answers.every((answer) => answer.kind === 'recorded' && answer.created)).toBe(true);
      const again = await hostFiles.recordMany(
        files.map((file) => ({ ...file, mtime: new Date(9) })),
        new Date(2_000),
      );
      expect(again.every((answer) => answer.kind === 'recorded' && !answer.created)).toBe(true);
      expect(await keys.usage(fixture.keyId)).toMatchObject({ bytes: 100_000, files: 1_000 });
      const rows = await listed({ limit: 1_000 });
      expect(rows.every(({ mtime, version }) => mtime?.getTime() === 9 && version === 1)).toBe(true);
    });

    test('fill the quota, and those that do not fit are refused alone', async () => {
      const { hostFiles, keys } = catalog;
      const keyId = await newKey(catalog, { quotaBytes: 250, quotaFiles: 3 });
      const sized = (name: string, size: number) =>
        fixture.file({
          keyId,
          filepath: `/${name}`,
          sha256: digest(name),
          content: { size, backendId: fixture.backendId, published: true },
        });
      const files = [sized('a', 200), sized('b', 60), sized('c', 50), sized('d', 0), sized('e', 0)];
      const answers = await hostFiles.recordMany(files, new Date(1_000));
      expect(answers.map(({ kind }) => kind)).toEqual([
        'recorded',
        'quota_exceeded',
        'recorded',
        'recorded',
        'quota_exceeded',
      ]);
      expect(answers[1]).toMatchObject({ error: { errors: [{ field: 'file_size' }] } });
      expect(answers[4]).toMatchObject({ error: { errors: [{ field: 'filepath' }] } });
      expect(await keys.usage(keyId)).toMatchObject({ bytes: 250, files: 3 });
      // What is there already takes no more room.
      expect(await hostFiles.record(sized('a', 200), new Date(2_000))).toMatchObject({ created: false });
    });

    test('with hostile paths are told apart and kept exactly', async () => {
      const { hostFiles } = catalog;
      await hostFiles.recordMany(
        hostilePaths.map((filepath, index) => fixture.file({ filepath, sha256: digest(index) })),
        new Date(1_000),
      );
      for (const [index, filepath] of hostilePaths.entries()) {
        expect(await hostFiles.current('alpha', filepath, all)).toMatchObject({
          filepath,
          sha256: digest(index),
          version: 1,
        });
      }
    });

    test('with names as long as they may be are told apart', async () => {
      const { hostFiles } = catalog;
      // Characters that do not compress: PostgreSQL would index a compressible text of any length.
      let seed = 1;
      const noise = (length: number): string =>
        Array.from({ length }, () => {
          seed = (seed * 48_271) % 2_147_483_647;
          return String.fromCodePoint(0x1_0000 + (seed % 0xf_0000));
        }).join('');
      const hostname = noise(253);
      const long = noise(4_000);
      for (const name of ['1', '2']) {
        await fixture.record({ hostname, filepath: `${long}${name}`, sha256: digest(name) });
        await fixture.record({ hostname, filepath: `${long}${name}`, sha256: digest(`${name} next`) });
      }
      for (const name of ['1', '2']) {
        expect(await hostFiles.current(hostname, `${long}${name}`, all)).toMatchObject({
          version: 2,
          sha256: digest(`${name} next`),
        });
      }
      expect(await listed({ limit: 1 })).toHaveLength(4);
      expect(await tree(9_000, { hostname, limit: 1 })).toEqual([`${long}1 2`, `${long}2 2`]);
    });

    test('of the same machines by many hubs at once are numbered without gaps, and one is current', async () => {
      const url = await freshUrl();
      const hubs = [await open(url), await open(url)] as const;
      const shared = await UploadFixture.make(hubs[0]);
      await Promise.all(
        Array.from({ length: 12 }, (_, round) => {
          const files = ['alpha', 'beta'].flatMap((hostname) =>
            ['/1', '/2', '/3'].map((filepath) =>
              shared.file({ hostname, filepath, sha256: digest(`${round}${filepath}`) }),
            ),
          );
          return hubs[round % 2 === 0 ? 0 : 1].hostFiles.recordMany(
            round % 3 === 0 ? files.toReversed() : files,
            new Date(1_000),
          );
        }),
      );
      const { rows, total } = await hubs[0].hostFiles.list({
        reach: all,
        status: 'all',
        versions: 'all',
        limit: 100,
      });
      expect(total).toBe(72);
      const byFile = Map.groupBy(rows, ({ hostname, filepath }) => `${hostname} ${filepath}`);
      for (const versions of byFile.values()) {
        expect(versions.map(({ version }) => version)).toEqual(
          Array.from({ length: 12 }, (_, index) => 12 - index),
        );
        expect(versions.filter(({ isCurrent }) => isCurrent).map(({ version }) => version)).toEqual([12]);
      }
      expect(await hubs[1].keys.usage(shared.keyId)).toMatchObject({ bytes: 7_200, files: 72 });
    });
  });

  describe('lists', () => {
    test('go by machine and path in the order of bytes, with the newest version first', async () => {
      const { hostFiles } = catalog;
      for (const hostname of ['beta', 'alpha', 'Alpha']) {
        for (const version of [1, 2, 3]) {
          await hostFiles.recordMany(
            hostilePaths.map((filepath) => fixture.file({ hostname, filepath, sha256: digest(version) })),
            new Date(version * 1_000),
          );
        }
      }
      const compare = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));
      const expected = ['Alpha', 'alpha', 'beta'].flatMap((hostname) =>
        hostilePaths
          .toSorted(compare)
          .flatMap((filepath) => [3, 2, 1].map((version) => `${hostname} ${filepath} ${version}`)),
      );
      const text = ({ hostname, filepath, version }: HostFile) => `${hostname} ${filepath} ${version}`;
      for (const limit of [1, 7, 1_000]) {
        expect((await listed({ limit })).map(text)).toEqual(expected);
      }
      expect((await listed({ limit: 5, versions: 'current' })).map(text)).toEqual(
        expected.filter((line) => line.endsWith(' 3')),
      );
    });

    test('are filtered by machine, prefix, content and status', async () => {
      const files = await Promise.all([
        fixture.record({ filepath: '/a/1' }),
        fixture.record({ filepath: '/a/2', sha256: digest('b') }),
        fixture.record({ filepath: '/a%' }),
        fixture.record({ filepath: '/b', hostname: 'beta' }),
      ]);
      const [first] = files;
      if (first === undefined) throw new Error('There is no file.');
      await markDeleted(first, 2_000);
      const paths = async (options: Partial<HostFileListOptions>) =>
        (await listed(options)).map(({ filepath }) => filepath);
      expect(await paths({ hostname: 'beta' })).toEqual(['/b']);
      expect(await paths({ pathPrefix: '/a/' })).toEqual(['/a/1', '/a/2']);
      expect(await paths({ pathPrefix: '/a%' })).toEqual(['/a%']);
      expect(await paths({ pathPrefix: '/' })).toHaveLength(4);
      expect(await paths({ hostname: 'alpha', pathPrefix: '/b' })).toEqual([]);
      expect(await paths({ sha256: digest('b') })).toEqual(['/a/2']);
      expect(await paths({ status: 'deleted' })).toEqual(['/a/1']);
      expect(await paths({ status: 'active' })).toEqual(['/a%', '/a/2', '/b']);
      await expect(listed({ cursor: 'x' })).rejects.toMatchObject({ errors: [{ field: 'cursor' }] });
      await expect(listed({ limit: 0 })).rejects.toMatchObject({ errors: [{ field: 'limit' }] });
    });

    test('of machines count what is there', async () => {
      const { hostFiles } = catalog;
      const gone = await fixture.record({ filepath: '/gone' }, 1_000);
      await markDeleted(gone, 2_000, new Date(500));
      const long = await fixture.record({ filepath: '/long gone' }, 1_000);
      await markDeleted(long, 1_500);
      await fixture.record({ filepath: '/v' }, 1_000);
      await fixture.record({ filepath: '/v', sha256: digest('b') }, 1_800);
      for (const name of ['delta', 'beta', 'gamma']) await fixture.record({ hostname: name }, 3_000);
      const options = { reach: all, deletedSince: new Date(1_600) };
      const first = await hostFiles.hosts({ ...options, limit: 2 });
      expect(first).toMatchObject({
        total: 4,
        rows: [
          { hostname: 'alpha', files: 1, bytes: 100, deletedFiles: 1, lastSeenAt: new Date(2_000) },
          { hostname: 'beta', files: 1, bytes: 100, deletedFiles: 0, lastSeenAt: new Date(3_000) },
        ],
      });
      const rest = await hostFiles.hosts({ ...options, limit: 2, cursor: first.nextCursor ?? '' });
      expect(rest.rows.map(({ hostname }) => hostname)).toEqual(['delta', 'gamma']);
      expect(rest.nextCursor).toBeUndefined();
      const empty = await open();
      expect(await empty.hostFiles.hosts({ ...options, limit: 2 })).toEqual({ rows: [], total: 0 });
    });
  });

  describe('reach', () => {
    test('lets a caller see the machine or the uploads that are theirs, and nothing else', async () => {
      const { hostFiles } = catalog;
      const keyId = await newKey(catalog);
      const mine = await fixture.record({ sha256: digest('mine') });
      const theirs = await fixture.record({ keyId, hostname: 'beta', sha256: digest('theirs') });
      const shared = await fixture.record({ keyId, filepath: '/s', sha256: digest('mine') });
      const digests = [digest('mine'), digest('theirs'), digest('none')];
      const cases: [HostFileReach, HostFile[]][] = [
        [all, [mine, shared, theirs]],
        [{ kind: 'hostname', hostname: 'alpha' }, [mine, shared]],
        [{ kind: 'hostname', hostname: 'beta' }, [theirs]],
        [{ kind: 'hostname', hostname: 'gamma' }, []],
        [{ kind: 'key', keyId: fixture.keyId }, [mine]],
        [{ kind: 'key', keyId }, [shared, theirs]],
        [{ kind: 'key', keyId: 'none' }, []],
      ];
      for (const [reach, visible] of cases) {
        expect(await listed({ reach }), JSON.stringify(reach)).toEqual(visible);
        expect(await hostFiles.readable(digests, reach)).toEqual(
          new Set(visible.map(({ sha256 }) => sha256)),
        );
        const hosts = await hostFiles.hosts({ reach, limit: 10, deletedSince: new Date(0) });
        expect(hosts.rows.map(({ hostname }) => hostname)).toEqual([
          ...new Set(visible.map(({ hostname }) => hostname)),
        ]);
        expect(hosts.total).toBe(hosts.rows.length);
        const clones = visible.filter(({ sha256 }) => sha256 === digest('mine'));
        expect(await hostFiles.clones(digest('mine'), reach, 10)).toEqual({
          files: clones,
          total: clones.length,
        });
        for (const file of [mine, theirs, shared]) {
          const expected = visible.includes(file) ? file : null;
          expect(await hostFiles.get(file.id, reach)).toEqual(expected);
          expect(await hostFiles.current(file.hostname, file.filepath, reach)).toEqual(expected);
        }
        expect(await tree(9_000, { reach })).toEqual(
          visible
            .filter(({ hostname }) => hostname === 'alpha')
            .map(({ filepath, version }) => `${filepath} ${version}`),
        );
      }
    });

    test('holds for deletions and restoring too', async () => {
      const { hostFiles } = catalog;
      const file = await fixture.record();
      const restore = {
        keyId: fixture.keyId,
        actor: 'agent',
        at: new Date(3_000),
        deletedAfter: new Date(0),
      };
      const foreign: HostFileReach[] = [
        { kind: 'hostname', hostname: 'beta' },
        { kind: 'key', keyId: 'other' },
      ];
      for (const reach of foreign) {
        expect(await hostFiles.markDeletedMany([noticeOf(file)], { reach, at: new Date(2_000) })).toEqual([
          { kind: 'not_found' },
        ]);
        expect(await hostFiles.restore(file.id, { ...restore, reach })).toEqual({ kind: 'not_found' });
      }
      expect(await hostFiles.get(file.id, all)).toEqual(file);
    });

    test('is asked for ten thousand contents at once, and not for more', async () => {
      const { hostFiles } = catalog;
      await fixture.record({ sha256: digest(9_999) });
      const digests = Array.from({ length: 10_000 }, (_, index) => digest(index));
      expect(await hostFiles.readable(digests, all)).toEqual(new Set([digest(9_999)]));
      await expect(hostFiles.readable([...digests, digest('more')], all)).rejects.toMatchObject({
        code: 'invalid_request',
        errors: [{ field: 'sha256' }],
      });
    });

    test('to a content outlives replacing and deleting, and ends with the purge', async () => {
      const { hostFiles } = catalog;
      const first = await fixture.record({ sha256: digest('a') }, 1_000);
      const second = await fixture.record({ sha256: digest('b') }, 1_100);
      await markDeleted(second, 2_000);
      const digests = [first.sha256, second.sha256];
      expect(await hostFiles.readable(digests, all)).toEqual(new Set(digests));
      await hostFiles.purge(new Date(2_001), 10);
      expect(await hostFiles.readable(digests, all)).toEqual(new Set());
    });
  });

  describe('a deletion', () => {
    test('is noted once, with the time of the machine', async () => {
      const { hostFiles, keys } = catalog;
      const file = await fixture.record();
      const gone = await markDeleted(file, 2_000, new Date(1_700));
      expect(gone).toEqual({ ...file, deletedAt: new Date(1_700), deletionNotedAt: new Date(2_000) });
      const [again] = await hostFiles.markDeletedMany([{ ...noticeOf(file), deletedAt: new Date(1) }], {
        reach: all,
        at: new Date(5_000),
      });
      expect(again).toEqual({ kind: 'deleted', already: true, file: gone });
      expect(await hostFiles.get(file.id, all)).toEqual(gone);
      expect(await keys.usage(fixture.keyId)).toMatchObject({ bytes: 100, files: 1 });
    });

    test('in the future of a machine whose clock is ahead counts from now', async () => {
      const file = await fixture.record();
      expect(await markDeleted(file, 2_000, new Date(999_000))).toMatchObject({ deletedAt: new Date(2_000) });
    });

    test('of many files is answered for each, and only for the bytes that are current', async () => {
      const { hostFiles } = catalog;
      const old = await fixture.record({ sha256: digest('a') });
      const current = await fixture.record({ sha256: digest('b') });
      const other = await fixture.record({ hostname: 'beta' });
      const answers = await hostFiles.markDeletedMany(
        [
          noticeOf(old),
          noticeOf(current),
          { ...noticeOf(other), deletedAt: new Date(1_500) },
          { ...noticeOf(other), filepath: '/none' },
          noticeOf(current),
        ],
        { reach: all, at: new Date(2_000) },
      );
      expect(answers).toMatchObject([
        { kind: 'not_found' },
        { kind: 'deleted', already: false },
        { kind: 'deleted', already: false, file: { deletedAt: new Date(1_500) } },
        { kind: 'not_found' },
        { kind: 'deleted', already: true },
      ]);
      expect(await hostFiles.get(old.id, all)).toMatchObject({ deletedAt: null });
      expect(await hostFiles.markDeletedMany([], { reach: all, at: new Date(1) })).toEqual([]);
    });

    test('is followed by a new version when the file comes back', async () => {
      const file = await fixture.record();
      await markDeleted(file, 2_000);
      expect(await fixture.record({}, 3_000)).toMatchObject({ version: 2, deletedAt: null });
      expect(await listed({ status: 'deleted' })).toMatchObject([{ version: 1, isCurrent: false }]);
    });
  });

  describe('restoring', () => {
    const options = { reach: all, actor: 'ada', at: new Date(5_000), deletedAfter: new Date(2_000) };

    test('makes a new version of a deleted file', async () => {
      const { hostFiles, keys } = catalog;
      const keyId = await newKey(catalog);
      const file = await fixture.record({ mtime: new Date(3), mode: 0o640 });
      await markDeleted(file, 2_000);
      expect(await hostFiles.restore(file.id, { ...options, keyId })).toMatchObject({
        kind: 'restored',
        created: true,
        file: {
          version: 2,
          sha256: file.sha256,
          mtime: new Date(3),
          mode: 0o640,
          keyId,
          actor: 'ada',
          createdAt: new Date(5_000),
          deletedAt: null,
          isCurrent: true,
        },
      });
      // Again: it is there already.
      expect(await hostFiles.restore(file.id, { ...options, keyId })).toMatchObject({
        kind: 'restored',
        created: false,
        file: { version: 2 },
      });
      expect(await keys.usage(keyId)).toMatchObject({ bytes: 100, files: 1 });
    });

    test('makes an older version the newest again', async () => {
      const { hostFiles } = catalog;
      const first = await fixture.record({ sha256: digest('a') });
      await fixture.record({ sha256: digest('b') });
      expect(await hostFiles.restore(first.id, { ...options, keyId: fixture.keyId })).toMatchObject({
        kind: 'restored',
        file: { version: 3, sha256: digest('a'), isCurrent: true },
      });
    });

    test('is refused after the retention, for what is gone, and beyond the quota', async () => {
      const { hostFiles } = catalog;
      const keyId = await newKey(catalog, { quotaBytes: 99 });
      const old = await fixture.record({ filepath: '/old' });
      await markDeleted(old, 1_999);
      const recent = await fixture.record({ filepath: '/recent' });
      await markDeleted(recent, 2_000);
      expect(await hostFiles.restore(old.id, { ...options, keyId: fixture.keyId })).toMatchObject({
        kind: 'expired',
        file: { id: old.id, deletionNotedAt: new Date(1_999) },
      });
      expect(await hostFiles.restore(recent.id, { ...options, keyId })).toMatchObject({
        kind: 'quota_exceeded',
        error: { code: 'quota_exceeded' },
      });
      await hostFiles.purge(new Date(3_000), 10);
      expect(await hostFiles.restore(recent.id, { ...options, keyId: fixture.keyId })).toEqual({
        kind: 'not_found',
      });
    });
  });

  describe('the purge', () => {
    test('takes all versions of what was deleted before, and nothing else', async () => {
      const { hostFiles, keys } = catalog;
      const keyId = await newKey(catalog);
      await fixture.record({ filepath: '/gone', keyId, sha256: digest('v1') });
      const gone = await fixture.record({ filepath: '/gone', sha256: digest('v2') });
      await markDeleted(gone, 2_000);
      const recent = await fixture.record({ filepath: '/recent' });
      await markDeleted(recent, 2_001);
      const back = await fixture.record({ filepath: '/back' });
      await markDeleted(back, 2_000);
      await fixture.record({ filepath: '/back' }, 4_000);
      await fixture.record({ filepath: '/replaced', sha256: digest('v1') });
      await fixture.record({ filepath: '/replaced', sha256: digest('v2') });
      const before = new Date(2_001);
      const total = { files: 1, versions: 2, bytes: 200 };
      expect(await hostFiles.purgeable(before)).toEqual(total);
      expect(await hostFiles.purge(before, 10)).toEqual(total);
      expect(await hostFiles.purge(before, 10)).toEqual({ files: 0, versions: 0, bytes: 0 });
      expect(await hostFiles.purgeable(before)).toEqual({ files: 0, versions: 0, bytes: 0 });
      expect(new Set((await listed()).map(({ filepath }) => filepath))).toEqual(
        new Set(['/recent', '/back', '/replaced']),
      );
      expect(await keys.usage(keyId)).toMatchObject({ bytes: 0, files: 0 });
      expect(await keys.usage(fixture.keyId)).toMatchObject({ bytes: 500, files: 5 });
    });

    test('goes on where its limit stopped it, the earliest deletions first', async () => {
      const { hostFiles } = catalog;
      await hostFiles.recordMany(
        Array.from({ length: 260 }, (_, index) => fixture.file({ filepath: `/${index}` })),
        new Date(1_000),
      );
      const files = await listed({ limit: 1_000 });
      for (const [index, file] of files.entries()) await markDeleted(file, 2_000 + index);
      const before = new Date(2_250);
      expect(await hostFiles.purge(before, 120)).toMatchObject({ files: 120 });
      const left = (await listed({ limit: 1_000 })).map(
        ({ deletionNotedAt }) => deletionNotedAt?.getTime() ?? 0,
      );
      expect(Math.min(...left)).toBe(2_120);
      expect(await hostFiles.purge(before, 1_000)).toMatchObject({ files: 130 });
      expect(await listed()).toHaveLength(10);
    });

    test('and a restore at the same moment: the file is there with its content, or it is gone', async () => {
      const url = await freshUrl();
      const hubs = [await open(url), await open(url)] as const;
      const shared = await UploadFixture.make(hubs[0]);
      const files: HostFile[] = [];
      for (let index = 0; index < 20; index += 1) {
        files.push(await shared.record({ filepath: `/${index}`, sha256: digest(index) }));
      }
      await hubs[0].hostFiles.markDeletedMany(files.map(noticeOf), { reach: all, at: new Date(2_000) });
      const [restores] = await Promise.all([
        Promise.all(
          files.map(({ id }) =>
            hubs[1].hostFiles.restore(id, {
              reach: all,
              keyId: shared.keyId,
              actor: 'ada',
              at: new Date(3_000),
              deletedAfter: new Date(0),
            }),
          ),
        ),
        hubs[0].hostFiles.purge(new Date(2_001), 100),
      ]);
      for (const [index, { kind }] of restores.entries()) {
        const file = await hubs[0].hostFiles.current('alpha', `/${index}`, all);
        expect(file?.version ?? null).toBe(kind === 'restored' ? 2 : null);
      }
      const kept = restores.filter(({ kind }) => kind === 'restored').length;
      expect(await hubs[0].keys.usage(shared.keyId)).toMatchObject({ bytes: kept * 200, files: kept * 2 });
    });
  });

  describe('a tree', () => {
    test('is as it was at any time: before and after changes, deletions and restoring', async () => {
      const { hostFiles } = catalog;
      await fixture.record({ filepath: '/a' }, 1_000);
      const b = await fixture.record({ filepath: '/b' }, 1_000);
      await fixture.record({ filepath: '/a', sha256: digest('a2') }, 2_000);
      await markDeleted(b, 3_000);
      await hostFiles.restore(b.id, {
        reach: all,
        keyId: fixture.keyId,
        actor: 'ada',
        at: new Date(4_000),
        deletedAfter: new Date(0),
      });
      await fixture.record({ filepath: '/c', hostname: 'beta' }, 1_000);
      const late = await fixture.record({ filepath: '/late' }, 5_000);
      await markDeleted(late, 6_000, new Date(5_500));
      expect(await tree(999)).toEqual([]);
      expect(await tree(1_000)).toEqual(['/a 1', '/b 1']);
      expect(await tree(2_000)).toEqual(['/a 2', '/b 1']);
      expect(await tree(2_999)).toEqual(['/a 2', '/b 1']);
      expect(await tree(3_000)).toEqual(['/a 2']);
      expect(await tree(4_000)).toEqual(['/a 2', '/b 2']);
      expect(await tree(5_000)).toEqual(['/a 2', '/b 2', '/late 1']);
      expect(await tree(5_500)).toEqual(['/a 2', '/b 2']);
      expect(await tree(9_000)).toEqual(['/a 2', '/b 2']);
    });

    test('comes by path in the order of bytes, whatever the size of a page', async () => {
      const { hostFiles } = catalog;
      const deep = 'd'.repeat(330);
      const paths = [
        ...hostilePaths,
        ...Array.from({ length: 9 }, (_, index) => `/${deep}${(index * 7) % 9}`),
      ];
      await hostFiles.recordMany(
        paths.map((filepath) => fixture.file({ filepath })),
        new Date(1_000),
      );
      const inOrder = paths.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      for (const limit of [1, 4, 1_000]) {
        expect(await tree(1_000, { limit })).toEqual(inOrder.map((path) => `${path} 1`));
      }
      expect(await tree(1_000, { pathPrefix: `/${deep}` })).toEqual(
        inOrder.filter((path) => path.startsWith(`/${deep}`)).map((path) => `${path} 1`),
      );
    });

    test('goes on beyond pages without a file', async () => {
      const { hostFiles } = catalog;
      for (let index = 0; index < 10; index += 1) {
        await fixture.record({ filepath: `/${index}` }, index === 9 ? 1_000 : 8_000);
      }
      expect(
        await hostFiles.treeAt({ hostname: 'alpha', at: new Date(2_000), reach: all, limit: 4 }),
      ).toEqual({
        files: [],
        next: '/3',
      });
      expect(await tree(2_000)).toEqual(['/9 1']);
    });
  });
});
