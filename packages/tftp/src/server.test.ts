import { sha256Hex } from '@holdfast/bytes/sha256';
import { afterEach, describe, expect, test } from 'vitest';
import { encodeAck, encodeError, encodeRequest } from './packets.ts';
import { createTftpServer } from './server.ts';
import { memorySource } from './testing/memory-source.ts';
import { content, ServerBench } from './testing/server-bench.ts';
import { download } from './testing/tftp-client.ts';

const { start, rawClient, clear } = new ServerBench();
afterEach(clear);

describe.each([{ singlePort: false }, { singlePort: true }])(
  'with singlePort $singlePort',
  ({ singlePort }) => {
    test.each([0, 1, 511, 512, 513, 1024, 65_536, 100_000])(
      '%i bytes arrive as they are, with every kind of option',
      async (size) => {
        const bytes = content.subarray(0, size);
        const { port, ended } = await start((request) => memorySource(bytes, request.path !== 'unknown'), {
          singlePort,
        });
        const sets: Record<string, number>[] = [
          {},
          { blksize: 1468, windowsize: 4, tsize: 0 },
          { blksize: 8, windowsize: 64 },
          { blksize: 1024, windowsize: 65_535 },
        ];
        for (const path of ['known', 'unknown']) {
          for (const options of sets) {
            const got = await download({ port, path, options });
            expect(got).toMatchObject({ size, sha256: sha256Hex(bytes) });
            if ('tsize' in options)
              expect(got.options.get('tsize')).toBe(path === 'known' ? String(size) : undefined);
            expect(await ended()).toMatchObject({ outcome: 'completed', delivered: size, error: undefined });
          }
        }
      },
    );

    test('netascii: line ends across the edges of blocks, and no tsize', async () => {
      const text = Buffer.from('ab\ncd\r\r\n\n'.repeat(3000));
      const encoded = Buffer.from(
        text.toString('latin1').replaceAll('\r', '\r\0').replaceAll('\n', '\r\n'),
        'latin1',
      );
      const { port } = await start(() => memorySource(text), { singlePort });
      const sets: Record<string, number>[] = [
        {},
        { blksize: 9, windowsize: 3, tsize: 0 },
        { blksize: 1428, windowsize: 8 },
      ];
      for (const options of sets) {
        const got = await download({ port, path: 'x', mode: 'netascii', options });
        expect(got).toMatchObject({ size: encoded.length, sha256: sha256Hex(encoded) });
        expect(got.options.has('tsize')).toBe(false);
      }
    });

    test('OVMF’s size probe is no failure, and its second request is answered in whatever order the packets come', async () => {
      const { port, ended, requests } = await start(() => memorySource(content), { singlePort });
      const ask = { tsize: 0, blksize: 1468, windowsize: 4 };
      for (const errorFirst of [true, false]) {
        const client = await rawClient();
        client.read(port, 'boot.efi', ask);
        const first = await client.next();
        expect(first.packet).toMatchObject({ kind: 'oack' });
        const error = (): void => client.send(encodeError(8, 'User aborted the transfer'), first.port);
        if (errorFirst) error();
        client.read(port, 'boot.efi', ask);
        if (!errorFirst) error();
        expect(await ended()).toMatchObject({ outcome: 'probed', error: undefined });
        const second = await client.next();
        expect(second.packet).toEqual(first.packet);
        client.send(encodeAck(0), second.port);
        expect((await client.next()).packet).toMatchObject({ kind: 'data', block: 1 });
        client.send(encodeError(0, 'enough'), second.port);
        expect(await ended()).toMatchObject({ outcome: 'aborted' });
      }
      expect(requests).toHaveLength(4);
    });

    test('a repeated request does not start a second transfer', async () => {
      const { port, requests, server } = await start(() => memorySource(content), { singlePort });
      const client = await rawClient();
      for (let turns = 0; turns < 3; turns += 1) client.read(port, 'x');
      expect((await client.next()).packet).toMatchObject({ kind: 'data', block: 1 });
      client.send(encodeRequest('write', 'x', 'octet'), port);
      // The answer to the write request proves that everything before it was seen.
      expect((await client.next()).packet).toMatchObject({ kind: 'error', code: 2 });
      expect(requests).toHaveLength(1);
      expect(server.sessions()).toHaveLength(1);
    });

    test('a client that asks for something else has started over', async () => {
      const { port, ended } = await start(() => memorySource(content), { singlePort });
      const client = await rawClient();
      client.read(port, 'first');
      await client.next();
      client.read(port, 'second', { blksize: 600 });
      expect(await ended()).toMatchObject({ path: 'first', outcome: 'aborted' });
      expect((await client.next()).packet).toMatchObject({ kind: 'oack' });
    });
  },
);

test('sessions show what is going on', async () => {
  const { port, server } = await start(() => memorySource(content));
  const client = await rawClient();
  client.read(port, 'pxe/x', { blksize: 1000, windowsize: 2 });
  const { port: peer } = await client.next();
  client.send(encodeAck(0), peer);
  await client.next();
  await client.next();
  client.send(encodeAck(2), peer);
  await client.next();
  expect(server.sessions()).toMatchObject([
    {
      path: 'pxe/x',
      mode: 'octet',
      size: 100_000,
      blksize: 1000,
      windowsize: 2,
      delivered: 2000,
      client: { address: '127.0.0.1' },
    },
  ]);
});

test('a port that is taken says so', async () => {
  const { port } = await start(() => memorySource(content));
  const again = createTftpServer({
    host: '127.0.0.1',
    port,
    open: () => Promise.resolve(memorySource(content)),
  });
  await expect(again).rejects.toMatchObject({ code: 'conflict' });
});

test.each([{ maxBlksize: 100 }, { maxBlksize: 1468.5 }, { maxWindowBytes: 1 << 20 }])(
  '%j is refused',
  async (limits) => {
    const starting = createTftpServer({
      host: '127.0.0.1',
      port: 0,
      limits,
      open: () => Promise.resolve(memorySource(content)),
    });
    await expect(starting).rejects.toThrow(RangeError);
  },
);
