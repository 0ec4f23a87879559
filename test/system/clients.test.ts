import { readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { aria2, browserDownload, curl, wget } from '../support/clients.ts';
import { startHub, type HubUnderTest } from '../support/hub.ts';
import { bootBackend, uploadStream } from '../support/hub-storage.ts';
import { RandomContent } from '../support/random-file.ts';
import { makeTempDir, type TempDir } from '../support/temp-dir.ts';

const content = new RandomContent('clients', 32 * 1024 * 1024 + 123);
const whole = content.bytes();
/** Where a resumed download continues: in the middle of everything. */
const resumeAt = 10_000_001;

describe('boot files are downloaded unmodified by', () => {
  const resources = new AsyncDisposableStack();
  let hub: HubUnderTest;
  let work: TempDir;
  let url: string;

  beforeAll(async () => {
    work = resources.use(await makeTempDir('clients'));
    hub = resources.use(await startHub());
    const { id } = await bootBackend(hub);
    const answer = await uploadStream(hub, id, '/images/disk 1.iso', content.stream(), content.size);
    expect(answer, answer.body).toMatchObject({ status: 201 });
    url = `${hub.url}/api/v1/files/images/disk%201.iso`;
  });

  afterAll(() => resources.disposeAsync());

  const expectWhole = async (file: string): Promise<void> => {
    expect((await readFile(file)).equals(whole)).toBe(true);
  };

  it('curl, which resumes with -C -', async () => {
    const file = work.join('curl.iso');
    await writeFile(file, whole.subarray(0, resumeAt));
    const { stdout } = await curl([
      '-C',
      '-',
      '--write-out',
      '%{http_code} %{size_download}',
      '-o',
      file,
      url,
    ]);
    expect(stdout).toBe(`206 ${content.size - resumeAt}`);
    await expectWhole(file);
  });

  it('curl, which finds nothing left to resume', async () => {
    const file = work.join('curl-done.iso');
    await writeFile(file, whole);
    const { stdout } = await curl(['-C', '-', '--write-out', '%{http_code}', '-o', file, url], {
      okCodes: [0, 22],
    });
    expect(stdout).toBe('416');
    await expectWhole(file);
  });

  it('curl, which skips what has not changed by time and by ETag', async () => {
    const file = work.join('curl-once.iso');
    const etag = work.join('etag');
    await curl(['--etag-save', etag, '--remote-time', '-o', file, url]);
    await expectWhole(file);
    const byTime = await curl(['--time-cond', file, '--write-out', '%{http_code}', '-o', file, url]);
    expect(byTime.stdout).toBe('304');
    const byTag = await curl(['--etag-compare', etag, '--write-out', '%{http_code}', '-o', file, url]);
    expect(byTag.stdout).toBe('304');
    await expectWhole(file);
  });

  it('wget, which resumes with -c', async () => {
    const file = work.join('wget.iso');
    await writeFile(file, whole.subarray(0, resumeAt));
    const { stderr } = await wget(['-c', '-O', file, url]);
    expect(stderr).toContain('206 Partial Content');
    await expectWhole(file);
  });

  it('wget, which skips what has not changed with -N', async () => {
    await wget(['-N', '-P', work.path, url]);
    const again = await wget(['-N', '-P', work.path, url]);
    expect(again.stderr).toMatch(/304 Not Modified|not retrieving/);
    await expectWhole(work.join('disk 1.iso'));
  });

  it('aria2, over 8 connections, which checks the Digest header by itself', async () => {
    const split = ['-x8', '-s8', '--min-split-size=1M', '--file-allocation=none'];
    const { stdout } = await aria2([...split, '-d', work.path, '-o', 'aria2.iso', url]);
    expect(stdout).toMatch(/Verification finished successfully/);
    expect(new Set(stdout.match(/CUID#\d+ - Requesting/g)).size).toBeGreaterThan(1);
    await expectWhole(work.join('aria2.iso'));
  });

  it('aria2, which checks the digest of the X-Checksum-SHA256 header as --checksum', async () => {
    const sha256 = (await fetch(url, { method: 'HEAD' })).headers.get('x-checksum-sha256');
    const checksum = `--checksum=sha-256=${sha256 ?? 'none'}`;
    const { stdout } = await aria2([checksum, '-d', work.path, '-o', 'aria2-checked.iso', url]);
    expect(stdout).toMatch(/Verification finished successfully/);
    await expectWhole(work.join('aria2-checked.iso'));
  });

  it('a browser, by a click on a link', async () => {
    const { file, suggestedName } = await browserDownload(url, work.path);
    expect(suggestedName).toBe('disk 1.iso');
    await expectWhole(file);
  });
});
