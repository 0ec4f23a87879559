import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { encodeAck, encodeError, encodeRequest, type Packet } from './packets.ts';
import type { TftpSource } from './source.ts';
import { memorySource } from './testing/memory-source.ts';
import { content, ServerBench } from './testing/server-bench.ts';
import { download } from './testing/tftp-client.ts';

const { start, rawClient, clear } = new ServerBench();
afterEach(clear);

describe.each([{ singlePort: false }, { singlePort: true }])(
  'with singlePort $singlePort',
  ({ singlePort }) => {
    test('an address that never answers gets four small packets, and costs one block of reading', async () => {
      const reads: number[] = [];
      const source = (): TftpSource => {
        const file = memorySource(content);
        return {
          ...file,
          readInto: (buffer, position) => (reads.push(buffer.length), file.readInto(buffer, position)),
        };
      };
      const limits = { timeoutMs: 2, maxTimeoutMs: 2 };
      const { port, ended } = await start(source, { singlePort, limits });
      const client = await rawClient();
      client.read(port, 'x');
      expect(await ended()).toMatchObject({ outcome: 'timeout', delivered: 0 });
      client.read(port, 'x', { blksize: 1468, windowsize: 44 });
      expect(await ended()).toMatchObject({ outcome: 'timeout', delivered: 0 });
      client.send(encodeRequest('write', 'x', 'octet'), port);
      for (let packet: Packet | undefined; packet?.kind !== 'error';) ({ packet } = await client.next());
      expect(client.count).toBe(4 + 4 + 1);
      expect(Math.max(...reads)).toBe(512);
    });

    test('any datagrams leave the server working, with no transfer left over', async () => {
      const limits = { timeoutMs: 1, maxTimeoutMs: 1, maxSessionsPerClient: 1000 };
      const { port, server } = await start(
        (request) => memorySource(content.subarray(0, request.path.length)),
        { singlePort, limits },
      );
      const client = await rawClient();
      const request = fc
        .tuple(
          fc.constantFrom(1, 2),
          fc.string({ maxLength: 9 }),
          fc.constantFrom('octet', 'netascii', 'x'),
          fc.string({ maxLength: 12 }),
        )
        .map(([opcode, path, mode, rest]) =>
          Buffer.from(`\0${String.fromCodePoint(opcode)}${path}\0${mode}\0${rest}`),
        );
      const other = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes));
      const typed = fc
        .tuple(fc.integer({ min: 3, max: 7 }), other)
        .map(([opcode, rest]) => Buffer.from([0, opcode, ...rest]));
      const datagrams = fc.sample(fc.oneof(request, other, typed), 400);
      for (const [index, datagram] of datagrams.entries()) {
        client.send(datagram, port);
        if (index % 20 === 0) await turn();
      }
      expect(await download({ port, path: 'abcdef' })).toMatchObject({ size: 6 });
      await server.close({ graceMs: 60_000 });
      expect(server.sessions()).toEqual([]);
    });

    test('strays within a transfer change nothing', async () => {
      const { port, ended } = await start(() => memorySource(content.subarray(0, 600)), { singlePort });
      const client = await rawClient();
      client.read(port, 'x');
      const { port: peer } = await client.next();
      for (const bytes of fc.sample(fc.uint8Array({ maxLength: 20 }), 50)) {
        if (bytes[0] !== 0 || bytes[1] === undefined || bytes[1] > 6) client.send(bytes, peer);
      }
      client.send(Buffer.from([0, 4, 0]), peer);
      client.send(encodeAck(700), peer);
      client.send(encodeAck(1), peer);
      expect((await client.next()).packet).toMatchObject({ kind: 'data', block: 2 });
      client.send(encodeAck(2), peer);
      expect(await ended()).toMatchObject({ outcome: 'completed' });
      expect(client.count).toBe(2);
    });

    test('a packet of somebody else does not reach a transfer', async () => {
      const { port, server } = await start(() => memorySource(content), { singlePort });
      const [client, other] = [await rawClient(), await rawClient()];
      client.read(port, 'x');
      const { port: peer } = await client.next();
      other.send(encodeError(0, 'stop'), peer);
      other.send(encodeRequest('write', 'x', 'octet'), port);
      await other.next();
      client.send(encodeAck(1), peer);
      expect((await client.next()).packet).toMatchObject({ kind: 'data', block: 2 });
      expect(server.sessions()).toHaveLength(1);
    });
  },
);

test('a client that closed its port ends its transfer at once', async () => {
  const { port, ended } = await start(() => memorySource(content), { limits: { timeoutMs: 5 } });
  const client = await rawClient();
  client.read(port, 'x');
  await client.next();
  await client[Symbol.asyncDispose]();
  expect(await ended()).toMatchObject({
    outcome: 'aborted',
    error: { message: 'The client has closed its port.' },
  });
});
