import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runProcess } from '@holdfast/test-support/process';
import { RandomContent } from '@holdfast/test-support/random-file';
import { makeTempDir, type TempDir } from '@holdfast/test-support/temp-dir';
import { HoldfastError } from '@holdfast/contract/errors';
import { createTftpServer, type TftpServer } from './server.ts';
import { download } from './testing/tftp-client.ts';

/** Sizes in bytes by name. Block numbers roll over at 32 MiB with blocks of 512, at 90 MiB with 1428. */
const sizes: Record<string, number> = {
  empty: 0,
  exact: 1428 * 512,
  odd: 3_000_001,
  over32: 36_000_000,
  over90: 97_000_000,
};

async function serve(singlePort: boolean): Promise<TftpServer> {
  return await createTftpServer({
    host: '127.0.0.1',
    port: 0,
    singlePort,
    open({ path }) {
      const size = sizes[path];
      if (size === undefined)
        return Promise.reject(new HoldfastError('file_not_found', `There is no file ${path}.`));
      const content = new RandomContent(path, size);
      return Promise.resolve({
        size,
        readInto(buffer: Uint8Array, position: number) {
          const piece = content.bytes(position, Math.min(position + buffer.length, size));
          buffer.set(piece);
          return Promise.resolve(piece.length);
        },
        close() {},
      });
    },
  });
}

async function sha256OfFile(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

describe.each([{ singlePort: false }, { singlePort: true }])(
  'with singlePort $singlePort',
  ({ singlePort }) => {
    let server: TftpServer;
    let folder: TempDir;
    beforeAll(async () => {
      server = await serve(singlePort);
      folder = await makeTempDir('tftp');
    });
    afterAll(async () => {
      await server.close();
      await folder[Symbol.asyncDispose]();
    });

    async function expectDownload(
      name: string,
      command: string,
      args: (target: string, port: string) => string[],
    ): Promise<void> {
      const target = folder.join(`${command}-${name}`);
      await runProcess(command, args(target, String(server.address.port)));
      expect(await sha256OfFile(target)).toBe(new RandomContent(name, sizes[name] ?? 0).sha256());
    }

    test.each([
      ['empty', '512', '1'],
      ['exact', '1428', '1'],
      ['odd', '1468', '16'],
      ['over32', '512', '8'],
      ['over90', '1428', '32'],
    ])('atftp downloads %s with blksize %s and windowsize %s', async (name, blksize, windowsize) => {
      await expectDownload(name, 'atftp', (target, port) => [
        ...['--option', `blksize ${blksize}`, '--option', `windowsize ${windowsize}`],
        ...['--get', '-r', name, '-l', target, '127.0.0.1', port],
      ]);
    });

    test.each(['exact', 'odd', 'over32'])('curl downloads %s', async (name) => {
      await expectDownload(name, 'curl', (target, port) => [
        '-sSf',
        '--noproxy',
        '*',
        '-o',
        target,
        `tftp://127.0.0.1:${port}/${name}`,
      ]);
    });

    test.each(['exact', 'odd', 'over32'])('busybox downloads %s', async (name) => {
      await expectDownload(name, 'busybox', (target, port) => [
        'tftp',
        '-g',
        '-b',
        '1024',
        '-r',
        name,
        '-l',
        target,
        '127.0.0.1',
        port,
      ]);
    });

    test('curl says what the server says about a missing file', async () => {
      const url = `tftp://127.0.0.1:${server.address.port}/missing`;
      // 68 is curl's own status for error 1.
      await expect(runProcess('curl', ['-sSf', '--noproxy', '*', url])).rejects.toThrow(
        'ended with status 68',
      );
    });

    test('block numbers roll over in lockstep with blocks of 512', async () => {
      const got = await download({ port: server.address.port, path: 'over32' });
      expect(got).toMatchObject({
        size: sizes['over32'],
        sha256: new RandomContent('over32', 36_000_000).sha256(),
      });
    });
  },
);
