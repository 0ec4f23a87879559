import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { HoldfastError } from '@holdfast/contract/errors';
import { encodeAck, encodeError, encodeRequest, type Packet, parsePacket } from './packets.ts';
import { createTftpServer, type TftpServer } from './server.ts';
import type { TftpHooks, TftpLimits, TftpRequest } from './server-options.ts';
import type { TftpSource, TransferOutcome } from './source.ts';
import { memorySource } from './testing/memory-source.ts';
import { download, optionList } from './testing/tftp-client.ts';

const content = Buffer.from(Uint8Array.from({ length: 100_000 }, (_, index) => (index * 31) ^ (index >> 8)));

/** The open things of one test, closed after it. */
const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const thing of open.splice(0).toReversed()) await thing[Symbol.asyncDispose]();
});

interface Ended {
  path: string;
  outcome: TransferOutcome;
  error: HoldfastError | undefined;
  delivered: number;
}

interface Fixture {
  server: TftpServer;
  port: number;
  requests: TftpRequest[];
  refused: HoldfastError[];
  /** Resolves to the next transfer that has ended. */
  ended(): Promise<Ended>;
}

async function start(
  source: (request: TftpRequest) => TftpSource | Promise<TftpSource>,
  options: { limits?: Partial<TftpLimits>; singlePort?: boolean; hooks?: TftpHooks } = {},
): Promise<Fixture> {
  const requests: TftpRequest[] = [];
  const refused: HoldfastError[] = [];
  const results: Ended[] = [];
  const waiting: ((result: Ended) => void)[] = [];
  const server = await createTftpServer({
    host: '127.0.0.1',
    port: 0,
    singlePort: options.singlePort ?? false,
    limits: options.limits ?? {},
    async open(request) {
      requests.push(request);
      return await source(request);
    },
    hooks: {
      ...options.hooks,
      ended({ path, delivered }, outcome, error) {
        const result = { path, outcome, error, delivered };
        const next = waiting.shift();
        if (next === undefined) results.push(result);
        else next(result);
      },
      refused: (_, error) => void refused.push(error),
    },
  });
  open.push(server);
  const ended = (): Promise<Ended> => {
    const result = results.shift();
    return result === undefined
      ? new Promise((resolve) => void waiting.push(resolve))
      : Promise.resolve(result);
  };
  return { server, port: server.address.port, requests, refused, ended };
}

/** A client that does just what a test tells it to. */
class RawClient implements AsyncDisposable {
  readonly socket: Socket;
  readonly #queue: { packet: Packet; port: number }[] = [];
  readonly #waiting: ((item: { packet: Packet; port: number }) => void)[] = [];
  #closed = false;
  count = 0;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('message', (bytes, from) => {
      this.count += 1;
      const item = { packet: parsePacket(bytes), port: from.port };
      const next = this.#waiting.shift();
      if (next === undefined) this.#queue.push(item);
      else next(item);
    });
  }

  send(packet: Uint8Array, port: number): void {
    this.socket.send(packet, port, '127.0.0.1');
  }

  read(port: number, path: string, options: Record<string, number> = {}): void {
    this.send(encodeRequest('read', path, 'octet', optionList(options)), port);
  }

  async next(): Promise<{ packet: Packet; port: number }> {
    const item = this.#queue.shift();
    return item ?? (await new Promise((resolve) => void this.#waiting.push(resolve)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await new Promise<void>((resolve) => void this.socket.close(resolve));
  }
}

async function rawClient(): Promise<RawClient> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const client = new RawClient(socket);
  open.push(client);
  return client;
}

function sha256(bytes: Uint8Array): Promise<string> {
  return crypto.subtle
    .digest('SHA-256', Buffer.from(bytes))
    .then((digest) => Buffer.from(digest).toString('hex'));
}

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
            expect(got).toMatchObject({ size, sha256: await sha256(bytes) });
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
        expect(got).toMatchObject({ size: encoded.length, sha256: await sha256(encoded) });
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

    test('closing lets a transfer go on within its grace, and takes no new one', async () => {
      const { port, server, ended } = await start(() => memorySource(content.subarray(0, 600)), {
        singlePort,
      });
      const [client, late] = [await rawClient(), await rawClient()];
      client.read(port, 'x');
      const { port: peer } = await client.next();
      const closed = server.close({ graceMs: 60_000 });
      late.read(port, 'x');
      expect((await late.next()).packet).toMatchObject({ kind: 'error', code: 0 });
      client.send(encodeAck(1), peer);
      await client.next();
      client.send(encodeAck(2), peer);
      expect(await ended()).toMatchObject({ outcome: 'completed' });
      await closed;
    });

    test('closing without grace tells the client, and waits for the file', async () => {
      const steps: string[] = [];
      const { port, server } = await start(
        () => ({ ...memorySource(content), close: (outcome) => void steps.push(outcome) }),
        { singlePort },
      );
      const client = await rawClient();
      client.read(port, 'x');
      await client.next();
      await server.close();
      expect(steps).toEqual(['failed']);
      expect((await client.next()).packet).toMatchObject({
        kind: 'error',
        message: expect.stringContaining('shutting down'),
      });
    });
  },
);

describe('refusals', () => {
  test.each([
    [new HoldfastError('file_not_found', 'There is no such file.'), 1, 'There is no such file.'],
    [new HoldfastError('invalid_path', 'The path is not allowed.'), 2, 'The path is not allowed.'],
    [new HoldfastError('forbidden', 'Not for you.'), 2, 'Not for you.'],
    [new HoldfastError('no_boot_backend', 'No boot backend is set.'), 0, 'No boot backend is set.'],
    [new Error('secret detail'), 0, 'The file could not be opened. See the log of the server.'],
  ])('%s', async (error, code, message) => {
    const { port } = await start(() => {
      throw error;
    });
    const client = await rawClient();
    client.read(port, 'x');
    expect((await client.next()).packet).toEqual({ kind: 'error', code, message });
  });

  test('writing, an unknown mode and a malformed request', async () => {
    const { port } = await start(() => memorySource(content));
    const client = await rawClient();
    client.send(encodeRequest('write', 'x', 'octet'), port);
    expect((await client.next()).packet).toMatchObject({ kind: 'error', code: 2 });
    client.send(encodeRequest('read', 'x', 'mail'), port);
    expect((await client.next()).packet).toMatchObject({ kind: 'error', code: 4 });
    client.send(Buffer.from('\0\x01x', 'latin1'), port);
    expect((await client.next()).packet).toMatchObject({ kind: 'error', code: 4 });
  });

  test('a client beyond its share is left to ask again, and gets its turn', async () => {
    const { port, refused, ended } = await start(() => memorySource(content.subarray(0, 5)), {
      limits: { maxSessionsPerClient: 1 },
    });
    const client = await rawClient();
    client.read(port, 'first');
    const { port: peer } = await client.next();
    const second = download({ port, path: 'second', timeoutMs: 20, maxRetries: 100 });
    while (refused.length === 0) await turn();
    expect(refused[0]?.code).toBe('too_many_requests');
    client.send(encodeAck(1), peer);
    expect(await ended()).toMatchObject({ path: 'first', outcome: 'completed' });
    expect(await second).toMatchObject({ size: 5 });
  });
});

describe('the file', () => {
  test('a read that fails ends both sides with its reason', async () => {
    const { port, ended } = await start(() => ({
      ...memorySource(content),
      readInto: (buffer, position) =>
        position > 0
          ? Promise.reject(new HoldfastError('backend_unavailable', 'The disk is gone.'))
          : Promise.resolve(buffer.length),
    }));
    await expect(download({ port, path: 'x' })).rejects.toThrow('error 0: The disk is gone.');
    expect(await ended()).toMatchObject({ outcome: 'failed', error: { code: 'backend_unavailable' } });
  });

  test('a file that became shorter is not passed off as whole', async () => {
    const { port, ended } = await start(() => ({ ...memorySource(content.subarray(0, 2000)), size: 3000 }));
    await expect(download({ port, path: 'x', options: { blksize: 1024 } })).rejects.toThrow(
      'error 0: The file ended after',
    );
    expect(await ended()).toMatchObject({ outcome: 'failed', error: { code: 'backend_unavailable' } });
  });

  test('a file that became longer ends where it did', async () => {
    const { port } = await start(() => ({ ...memorySource(content), size: 3000 }));
    expect(await download({ port, path: 'x' })).toMatchObject({
      size: 3000,
      sha256: await sha256(content.subarray(0, 3000)),
    });
  });

  test('a storage that never opens the file is given up, and a file that opens too late is closed', async () => {
    const late = Promise.withResolvers<TftpSource>();
    const closed = Promise.withResolvers<TransferOutcome>();
    const { port } = await start(() => late.promise, { limits: { supplyTimeoutMs: 5 } });
    await expect(download({ port, path: 'x' })).rejects.toThrow('did not open the file in time');
    late.resolve({ ...memorySource(content), close: closed.resolve });
    expect(await closed.promise).toBe('aborted');
  });

  test('the pacer is asked for every byte, and holds windows back', async () => {
    const asked: number[] = [];
    let delivered = 0;
    const { port } = await start(() => ({
      ...memorySource(content),
      pace(bytes) {
        asked.push(bytes);
        return asked.length % 2 === 0 ? undefined : turn();
      },
      delivered: (bytes) => void (delivered += bytes),
    }));
    const got = await download({ port, path: 'x', options: { blksize: 1428, windowsize: 32 } });
    expect(got).toMatchObject({ size: content.length, sha256: await sha256(content), strays: 0 });
    expect(delivered).toBe(content.length);
    const total = asked.reduce((sum, bytes) => sum + bytes, 0);
    expect(total).toBeGreaterThanOrEqual(content.length);
    expect(total).toBeLessThan(content.length + 64 * 1024);
    expect(Math.max(...asked)).toBeLessThanOrEqual(16 * 1024);
  });

  test.each([
    ['rejects', () => Promise.reject(new Error('no'))],
    [
      'throws',
      () => {
        throw new Error('no');
      },
    ],
  ])('a pacer that %s ends both sides', async (_, pace) => {
    const { port, ended } = await start(() => ({ ...memorySource(content), pace }));
    await expect(download({ port, path: 'x' })).rejects.toThrow('error 0: The transfer could not be paced.');
    expect(await ended()).toMatchObject({ outcome: 'failed' });
  });

  test('more transfers than buffers wait for each other and all complete', async () => {
    const limits = { maxBufferBytes: 256 * 1024, maxSessionsPerClient: 100 };
    const { port } = await start(() => memorySource(content), { limits });
    const all = Array.from({ length: 40 }, () =>
      download({ port, path: 'x', options: { blksize: 1468, windowsize: 8 } }),
    );
    const digest = await sha256(content);
    for (const got of await Promise.all(all)) expect(got.sha256).toBe(digest);
  });
});

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
