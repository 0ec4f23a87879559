import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sha256Hex } from '@holdfast/bytes/sha256';
import { endpoints } from '@holdfast/contract/endpoints';
import { runProcess } from '@holdfast/test-support/process';
import { RandomContent } from '@holdfast/test-support/random-file';
import { makeTempDir } from '@holdfast/test-support/temp-dir';
import { openEvents } from '../testing/event-client.ts';
import { startTestHub, type TestHub } from '../testing/test-hub.ts';
import { archiveOf, fetchArchive, unpack, type Unpacked } from './testing/archives.ts';
import { keepFiles } from './testing/kept-files.ts';

let hub: TestHub;
beforeAll(async () => {
  hub = await startTestHub();
});
afterAll(() => hub[Symbol.asyncDispose]());

describe('an archive of a machine', () => {
  const long = `/${'folder-with-a-long-name/'.repeat(12)}file`;
  const samples = [
    {
      filepath: '/etc/hosts',
      bytes: '127.0.0.1 localhost\n',
      mode: 0o644,
      mtime: '2024-02-29T12:00:00.000Z',
    },
    { filepath: '/usr/bin/tool', bytes: '#!/bin/sh\n', mode: 0o4755, mtime: '2001-09-09T01:46:40.000Z' },
    {
      filepath: '/home/ada/plan für morgen 日本.txt',
      bytes: 'ü',
      mode: 0o600,
      mtime: '2025-06-01T00:00:01.500Z',
    },
    { filepath: long, bytes: 'deep', mode: 0o640, mtime: '2026-01-01T00:00:00.000Z' },
    { filepath: '/empty', bytes: '', mode: 0, mtime: '1999-12-31T23:59:58.000Z' },
    {
      filepath: '/big',
      bytes: new RandomContent('big', 5_000_001).bytes(),
      mode: 0o444,
      mtime: '2026-02-03T04:05:06.000Z',
    },
  ];

  beforeAll(async () => {
    await keepFiles(
      hub,
      samples.map(({ mtime, ...file }) => ({ hostname: 'archived', mtime: new Date(mtime), ...file })),
    );
  });

  it.each(['tar', 'bsdtar of a tar', 'unzip', 'bsdtar of a zip'] as const)(
    'unpacks by %s to the same bytes, times and modes',
    async (how) => {
      const isZip = how.includes('zip');
      const unpacked = await unpack(
        how,
        await fetchArchive(hub, 'archived', { format: isZip ? 'zip' : 'tar' }),
      );
      const expected = samples.map(({ filepath, bytes, mode, mtime }): [string, Unpacked] => {
        const time = Date.parse(mtime);
        const text =
          typeof bytes === 'string' ? Buffer.from(bytes).toString('latin1') : bytes.toString('latin1');
        return [filepath.slice(1), { text, mode, mtime: isZip ? Math.floor(time / 1000) * 1000 : time }];
      });
      const digested = (files: Record<string, Unpacked>): unknown =>
        Object.fromEntries(
          Object.entries(files).map(([name, { text, ...rest }]) => [name, { ...rest, sha: sha256Hex(text) }]),
        );
      expect(digested(unpacked)).toEqual(digested(Object.fromEntries(expected)));
    },
  );

  it('is a ZIP that can be unpacked while it arrives', async () => {
    const listed = await runProcess(
      'sh',
      ['-c', 'cat "$0" | bsdtar -xOf - etc/hosts', await saved('archived')],
      {
        env: { LC_ALL: 'C.UTF-8' },
      },
    );
    expect(listed.stdout).toBe('127.0.0.1 localhost\n');
  });

  async function saved(hostname: string): Promise<string> {
    const file = join(hub.dataDir, `${hostname}.zip`);
    await writeFile(file, await fetchArchive(hub, hostname, { format: 'zip' }));
    return file;
  }

  it('keeps times that the headers cannot hold where the format can', async () => {
    const times = ['1960-05-05T05:05:05.250Z', '2100-01-01T00:00:00.000Z'];
    await keepFiles(
      hub,
      times.map((time, index) => ({
        hostname: 'times',
        filepath: `/${index}`,
        bytes: time,
        mtime: new Date(time),
      })),
    );
    const tar = await unpack('tar', await fetchArchive(hub, 'times'));
    expect(Object.values(tar).map(({ mtime }) => new Date(mtime).toISOString())).toEqual(times);
    const zip = await unpack('unzip', await fetchArchive(hub, 'times', { format: 'zip' }));
    expect(Object.values(zip).map(({ text }) => text)).toEqual(times);
  });

  it('has a name for the file and its type, also for HEAD, and shows as a transfer', async () => {
    await using events = await openEvents(hub, { types: 'transfer.finished' });
    const head = await hub.request(archiveOf('archived', { at: '2999-01-01T00:00:00Z' }), { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([200, '']);
    expect(head.headers.get('content-disposition')).toContain('archived-29990101T000000Z.tar');
    expect(head.headers.get('content-type')).toBe('application/x-tar');
    const archive = await fetchArchive(hub, 'archived', { at: '2998-01-01T00:00:00Z' });
    const finished = await events.first(
      (event) =>
        event.type === 'transfer.finished' && event.transfer.path === 'archived-29980101T000000Z.tar',
    );
    expect(finished).toMatchObject({
      outcome: 'complete',
      transfer: { bytes: archive.byteLength, size: null, backend_id: hub.backendId },
    });
  });

  it('holds only what begins with the prefix, and only what the key may see', async () => {
    const some = await unpack('tar', await fetchArchive(hub, 'archived', { path_prefix: '/e' }));
    expect(Object.keys(some).toSorted()).toEqual(['empty', 'etc/hosts']);
    const none = await hub.refusal(endpoints.downloadHostArchive, {
      params: { hostname: 'archived' },
      query: { path_prefix: '/nothing' },
    });
    expect(none.code).toBe('host_file_not_found');
    const { token } = (
      await hub.call(endpoints.createKey, {
        body: { name: 'other box', scopes: ['files:read'], hostname: 'other' },
      })
    ).data;
    const refused = await hub.refusal(endpoints.downloadHostArchive, {
      params: { hostname: 'archived' },
      key: token,
    });
    expect(refused.code).toBe('host_file_not_found');
  });
});

describe('ten thousand files', () => {
  it('stream as one archive, every byte of it', { timeout: 300_000 }, async () => {
    const hostname = 'crowded';
    const sums = new Map<string, string>();
    for (let start = 0; start < 10_000; start += 1000) {
      const files = Array.from({ length: 1000 }, (_, index) => {
        const filepath = `/srv/${start}/${index}`;
        return { hostname, filepath, bytes: `file number ${start + index}` };
      });
      for (const { filepath, bytes } of files) sums.set(filepath.slice(1), sha256Hex(bytes));
      await keepFiles(hub, files);
    }
    await using folder = await makeTempDir('crowded');
    await writeFile(folder.join('tar'), await fetchArchive(hub, hostname));
    const list = Array.from(sums, ([path, sum]) => `${sum}  ${path}`).join('\n');
    await writeFile(folder.join('sums'), `${list}\n`);
    await runProcess('tar', ['--extract', '--file', folder.join('tar')], { cwd: folder.path });
    await runProcess('sha256sum', ['--check', '--quiet', '--strict', folder.join('sums')], {
      cwd: folder.path,
    });

    await writeFile(folder.join('zip'), await fetchArchive(hub, hostname, { format: 'zip' }));
    const tested = await runProcess('unzip', ['-t', folder.join('zip')]);
    expect(tested.stdout).toContain('No errors detected');
    expect(tested.stdout.match(/OK$/gm)).toHaveLength(10_000);
  });
});
