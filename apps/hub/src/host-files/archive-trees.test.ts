import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sha256Hex } from '@holdfast/bytes/sha256';
import { startTestHub, type TestHub } from '../testing/test-hub.ts';
import { archiveOf, fetchArchive, unpack } from './testing/archives.ts';
import { keepFiles } from './testing/kept-files.ts';

let hub: TestHub;
beforeAll(async () => {
  hub = await startTestHub();
});
afterAll(() => hub[Symbol.asyncDispose]());

describe('hostile paths', () => {
  it.each(['tar', 'bsdtar of a tar', 'unzip', 'bsdtar of a zip'] as const)(
    'stay in the folder when %s unpacks them, each with its own bytes',
    async (how) => {
      const hostname = `hostile-${how.replaceAll(' ', '-')}`;
      const paths = [
        '/a',
        '/a/b',
        'a',
        '/../../../escape',
        '../../escape',
        'C:\\Windows\\..\\..\\escape',
        '\\\\server\\share\\x',
        '/back\\..\\..\\slash',
        '/C:/x',
        '/',
        '/..',
        './/./dots/.',
        '/-rf',
        '/new\nline',
      ];
      await keepFiles(
        hub,
        paths.map((filepath) => ({ hostname, filepath, bytes: filepath })),
      );
      const format = how.includes('zip') ? 'zip' : 'tar';
      const unpacked = await unpack(how, await fetchArchive(hub, hostname, { format }));
      expect(
        Object.values(unpacked)
          .map(({ text }) => text)
          .toSorted(),
      ).toEqual(paths.toSorted());
    },
  );
});

describe('a point in time', () => {
  it('shows the tree before and after a new version, a deletion and a restore', async () => {
    const hostname = 'history';
    const { hostFiles } = hub.context.catalog;
    const reach = { kind: 'all' } as const;
    const start = Date.now() - 60_000;
    const minute = (number: number): Date => new Date(start + number * 1000);
    const [first] = await keepFiles(hub, [
      { hostname: 'source', filepath: '/1', bytes: 'first' },
      { hostname: 'source', filepath: '/2', bytes: 'second' },
    ]);
    const key = { keyId: first?.keyId ?? '', actor: 'admin' };
    const version = (text: string, at: Date) =>
      hostFiles.record(
        { hostname, filepath: '/f', sha256: sha256Hex(text), mtime: null, mode: null, ...key },
        at,
      );
    await version('first', minute(1));
    await version('second', minute(2));
    const notice = { hostname, filepath: '/f', sha256: sha256Hex('second') };
    const [deletion] = await hostFiles.markDeletedMany([notice], { reach, at: minute(3) });
    if (deletion?.kind !== 'deleted') throw new Error('not deleted');
    await hostFiles.restore(deletion.file.id, { reach, ...key, at: minute(4), deletedAfter: minute(0) });

    const at = async (time: Date): Promise<string | undefined> => {
      const response = await hub.request(archiveOf(hostname, { at: time.toISOString() }));
      if (response.status === 404) return undefined;
      const unpacked = await unpack('tar', Buffer.from(await response.arrayBuffer()));
      return unpacked['f']?.text;
    };
    expect(await at(minute(0.5))).toBeUndefined();
    expect(await at(minute(1))).toBe('first');
    expect(await at(minute(1.5))).toBe('first');
    expect(await at(minute(2.5))).toBe('second');
    expect(await at(minute(3.5))).toBeUndefined();
    expect(await at(minute(4.5))).toBe('second');
  });
});
