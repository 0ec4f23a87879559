import { watch } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { sha256Hex } from '@holdfast/bytes/sha256';
import { mountExt4 } from '@holdfast/test-support/ext4-volume';
import { runProcess, startProcess } from '@holdfast/test-support/process';
import { makeTempDir } from '@holdfast/test-support/temp-dir';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { downloadFile } from './download-file.ts';
import { namesIn, startDownloads } from './download-fixture.ts';
import type { Downloads } from './download-fixture.ts';
import type { DownloadWhat } from './download-source.ts';

const mebibyte = 1024 * 1024;
let downloads: Downloads;

beforeAll(async () => {
  downloads = await startDownloads();
});

afterAll(() => downloads[Symbol.asyncDispose]());

/** A program that downloads and prints how it ended. */
const program = `
  import { createClient } from ${JSON.stringify(import.meta.resolve('../client.ts'))};
  import { downloadFile } from ${JSON.stringify(import.meta.resolve('./download-file.ts'))};
  const [url, apiKey, what, target] = process.argv.slice(1);
  const outcome = await downloadFile(createClient({ url, apiKey }), JSON.parse(what), target).catch(
    ({ code, message }) => ({ code, message }),
  );
  console.log(JSON.stringify(outcome));
`;

function command(url: string, what: DownloadWhat, target: string): string[] {
  const args = [url, downloads.hub.adminKey, JSON.stringify(what), target];
  return [process.execPath, '--input-type=module', '--eval', program, '--', ...args];
}

/** Resolves when a name has appeared in a folder. */
async function appeared(folder: string, name: string): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const watcher = watch(folder, (_, changed) => {
    if (changed === name) resolve(undefined);
  });
  try {
    if (!(await namesIn(folder)).includes(name)) await promise;
  } finally {
    watcher.close();
  }
}

describe('a download whose process is killed', () => {
  it('is gone on with by the next one', { timeout: 120_000 }, async () => {
    await using folder = await makeTempDir('download');
    await using relay = await downloads.relayed();
    const size = 120 * mebibyte;
    const { what, content } = await downloads.put('killed', size);
    // More than what is made durable at once, and less than all.
    const stalled = relay.proxy.passed('toClient', 96 * mebibyte).then(() => relay.proxy.stall());
    const target = folder.join('killed');
    const noted = appeared(folder.path, '.killed.holdfast-part.json');
    const [node = '', ...args] = command(relay.url, what, target);
    await using child = await startProcess(node, args);
    await Promise.all([noted, stalled]);
    child.kill('SIGKILL');
    await child.exited;
    expect(await namesIn(folder.path)).toEqual(
      expect.arrayContaining(['.killed.holdfast-part', '.killed.holdfast-part.json']),
    );
    relay.proxy.resume();
    const result = await downloadFile(relay.client, what, target);
    expect(result).toMatchObject({ sha256: content.sha256(), bytes: size });
    expect(result.resumedBytes).toBeGreaterThan(0);
    expect(sha256Hex(await readFile(target))).toBe(content.sha256());
    expect((await namesIn(folder.path)).filter((name) => name.endsWith('.holdfast-part'))).toEqual([]);
  });
});

describe('a disk that is full', () => {
  it(
    'is told before the first byte, or when it fills up on the way; the rest follows when there is room',
    { timeout: 120_000 },
    async () => {
      await using volume = await mountExt4(64 * mebibyte);
      await using relay = await downloads.relayed();
      const big = await downloads.put('too-big', 80 * mebibyte);
      const { what, content } = await downloads.put('fills', 24 * mebibyte);
      const [inside, ...prefix] = volume.prefix;
      const run = async (args: string[]): Promise<string> =>
        (await runProcess(inside, [...prefix, ...args])).stdout;

      const refused = await run(command(relay.url, big.what, `${volume.root}/too-big`));
      expect(JSON.parse(refused)).toMatchObject({
        code: 'storage_full',
        message: expect.stringContaining(`${volume.root}/too-big`),
      });

      const target = `${volume.root}/fills`;
      const half = relay.proxy
        .passed('toClient', relay.proxy.bytes.toClient + 8 * mebibyte)
        .then(() => relay.proxy.stall());
      const running = run(command(relay.url, what, target));
      await half;
      await run(['sh', '-c', `cat /dev/zero > ${volume.root}/filling || true`]);
      relay.proxy.resume();
      expect(JSON.parse(await running)).toMatchObject({
        code: 'storage_full',
        message: expect.stringContaining(target),
      });

      await run(['rm', `${volume.root}/filling`]);
      const outcome: unknown = JSON.parse(await run(command(relay.url, what, target)));
      expect(outcome).toMatchObject({ sha256: content.sha256(), bytes: content.size, verified: true });
      expect((await run(['sha256sum', target])).slice(0, 64)).toBe(content.sha256());
    },
  );
});
