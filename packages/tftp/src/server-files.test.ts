import { sha256Hex } from '@holdfast/bytes/sha256';
import { setImmediate as turn } from 'node:timers/promises';
import { HoldfastError } from '@holdfast/contract/errors';
import { afterEach, describe, expect, test } from 'vitest';
import type { TftpSource, TransferOutcome } from './source.ts';
import { memorySource } from './testing/memory-source.ts';
import { content, ServerBench } from './testing/server-bench.ts';
import { download } from './testing/tftp-client.ts';

const { start, clear } = new ServerBench();
afterEach(clear);

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
      sha256: sha256Hex(content.subarray(0, 3000)),
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
    const { port, ended } = await start(() => ({
      ...memorySource(content),
      pace(bytes) {
        asked.push(bytes);
        return asked.length % 2 === 0 ? undefined : turn();
      },
      delivered: (bytes) => void (delivered += bytes),
    }));
    const got = await download({ port, path: 'x', options: { blksize: 1428, windowsize: 32 } });
    expect(got).toMatchObject({ size: content.length, sha256: sha256Hex(content), strays: 0 });
    // The client has all bytes before the server has seen its last acknowledgement.
    await ended();
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
    const digest = sha256Hex(content);
    for (const got of await Promise.all(all)) expect(got.sha256).toBe(digest);
  });
});
