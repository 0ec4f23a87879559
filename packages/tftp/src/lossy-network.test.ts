import { describe, expect, test } from 'vitest';
import { RandomContent } from '@holdfast/test-support/random-file';
import { startUdpRelay } from '@holdfast/test-support/udp-relay';
import { createTftpServer } from './server.ts';
import type { TransferOutcome } from './source.ts';
import { memorySource } from './testing/memory-source.ts';
import { download } from './testing/tftp-client.ts';

const size = 300_000;
const content = new RandomContent('lossy', size);
const bytes = content.bytes();
const limits = { timeoutMs: 20, maxTimeoutMs: 40, maxRetries: 30, maxUnansweredRetries: 10 };

describe.each([{ singlePort: false }, { singlePort: true }])(
  'with singlePort $singlePort',
  ({ singlePort }) => {
    test.each([
      [1, { blksize: 1428, windowsize: 1 }],
      [2, { blksize: 1428, windowsize: 8 }],
      [3, { blksize: 512, windowsize: 32 }],
      [4, { blksize: 1468, windowsize: 44 }],
    ])('over losses, repetitions and reordering every byte arrives (seed %i)', async (seed, options) => {
      await using server = await createTftpServer({
        host: '127.0.0.1',
        port: 0,
        singlePort,
        limits,
        open: () => Promise.resolve(memorySource(bytes)),
      });
      await using relay = await startUdpRelay({
        port: server.address.port,
        seed,
        loss: 0.02,
        duplicate: 0.03,
        reorder: 0.02,
        delayMs: 3,
      });
      const got = await download({ port: relay.port, path: 'x', options, timeoutMs: 60, maxRetries: 50 });
      expect(got).toMatchObject({ size, sha256: content.sha256() });
      expect(relay.counts.lost + relay.counts.duplicated + relay.counts.held).toBeGreaterThan(0);
    });

    test('a network that dies in the middle ends both sides with an error', async () => {
      const ended = Promise.withResolvers<TransferOutcome>();
      const dying = { dead: false };
      await using server = await createTftpServer({
        host: '127.0.0.1',
        port: 0,
        singlePort,
        limits: { timeoutMs: 5, maxTimeoutMs: 10 },
        open: () => Promise.resolve({ ...memorySource(bytes), delivered: () => void (dying.dead = true) }),
        hooks: { ended: (_, outcome) => ended.resolve(outcome) },
      });
      await using relay = await startUdpRelay({ port: server.address.port, seed: 5, lose: () => dying.dead });
      await expect(download({ port: relay.port, path: 'x', timeoutMs: 20, maxRetries: 4 })).rejects.toThrow(
        'no answer',
      );
      expect(await ended.promise).toBe('timeout');
    });
  },
);
