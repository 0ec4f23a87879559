import { parseBackendPath } from '@holdfast/bytes/backend-path';
import { RandomContent } from '@holdfast/test-support/random-file';
import { rm, writeFile } from 'node:fs/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { bytesAt, chunksOf, sampleBytes } from '../conformance/sample-bytes.ts';
import { refusal } from '../conformance/subject.ts';
import { expectContent, MIB, sourceOf } from './testing/contents.ts';
import { makeTestShare } from './testing/test-share.ts';
import type { TestShare } from './testing/test-share.ts';

const file = parseBackendPath('/folder/file');
const large = new RandomContent('large', 256 * MIB);

/** Kills the server, and starts it again only when the client has tried in vain for a while. */
async function killAndRestart(share: TestShare): Promise<void> {
  await share.server.kill();
  const tried = share.proxy.moreConnections(3);
  restarting = tried.then(() => share.server.restart());
}

let restarting: Promise<void> | undefined;
afterEach(async () => {
  await restarting;
});

describe.each([
  ['NFSv4.1', {}],
  ['NFSv4.1 with a grace period', { graceSeconds: 3, leaseSeconds: 5 }],
  ['NFSv3', { protocols: '3' as const }],
])('a server by %s that is killed (kill -9) and started again', (_name, options) => {
  it('in the middle of a large write: it goes on, and every byte is there once', async () => {
    await using share = await makeTestShare(options);
    const result = await share.backend.write(
      file,
      sourceOf(large, {
        after: 100 * MIB,
        run: () => killAndRestart(share),
      }),
      { expectedSize: large.size },
    );
    expect(result).toMatchObject({ sha256: large.sha256(), replaced: false, entry: { size: large.size } });
    await expectContent(share.backend, file, large);
    expect(await share.staged()).toEqual([]);
  });

  it('in the middle of a large read: it goes on with the next byte', async () => {
    await using share = await makeTestShare(options);
    await share.backend.makeFolder(parseBackendPath('/folder'));
    await large.writeTo(share.onDisk(file));
    await expectContent(share.backend, file, large, {
      after: 64 * MIB,
      run: () => killAndRestart(share),
    });
  });
});

describe('a connection that breaks', () => {
  it('again and again while a file is written and read is made anew, and nothing is done twice', async () => {
    await using share = await makeTestShare();
    const content = new RandomContent('cut', 64 * MIB);
    const cuts = [5, 13, 30, 31, 55].map(async (mebibytes) => {
      await share.proxy.passed('toServer', mebibytes * MIB);
      share.proxy.cut();
    });
    const result = await share.backend.write(file, sourceOf(content), { ifAbsent: true });
    await Promise.all(cuts);
    expect(result.sha256).toBe(content.sha256());
    await expectContent(share.backend, file, content, {
      after: 10 * MIB,
      run: async () => share.proxy.cut(),
    });
    expect(await share.staged()).toEqual([]);
  });

  it('between two uses is not noticed by the second', async () => {
    await using share = await makeTestShare();
    await share.backend.write(file, chunksOf(sampleBytes(1000)));
    await share.server.kill();
    await share.server.restart();
    expect((await bytesAt(share.backend, file)).byteLength).toBe(1000);
  });
});

it('a server that stays away ends the write with an error that says so, and the next write works when it is back', async () => {
  await using share = await makeTestShare({ timeLimitMs: 1500 });
  const write = share.backend.write(
    file,
    sourceOf(large, { after: 32 * MIB, run: () => share.server.kill() }),
  );
  const error = await refusal(write, 'backend_unavailable');
  expect(error.retryable).toBe(true);
  expect(error.message).toContain(String(share.proxy.listenPort));
  await share.server.restart();
  expect((await share.backend.write(file, chunksOf(sampleBytes(10)))).replaced).toBe(false);
  // What the write could not remove itself goes with a sweep, once the write has given it up.
  while ((await share.staged()).length > 0) await share.backend.sweep();
});

it('a file that is replaced while the server is away is not read on as if it were the same', async () => {
  await using share = await makeTestShare();
  await share.backend.write(file, chunksOf(sampleBytes(3 * MIB)));
  await using opened = await share.backend.open(file);
  await share.server.kill();
  await rm(share.onDisk(file));
  await writeFile(share.onDisk(file), sampleBytes(3 * MIB, 2));
  await share.server.restart();
  const read = async (): Promise<void> => {
    for await (const chunk of opened.stream()) expect(chunk.byteLength).toBe(0);
  };
  await refusal(read(), 'conflict');
});
