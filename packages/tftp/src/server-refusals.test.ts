import { setImmediate as turn } from 'node:timers/promises';
import { HoldfastError } from '@holdfast/contract/errors';
import { afterEach, describe, expect, test } from 'vitest';
import { encodeAck, encodeRequest } from './packets.ts';
import { memorySource } from './testing/memory-source.ts';
import { content, ServerBench } from './testing/server-bench.ts';
import { download } from './testing/tftp-client.ts';

const { start, rawClient, clear } = new ServerBench();
afterEach(clear);

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
