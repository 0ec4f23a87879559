import { parseBackendPath, ROOT } from '@holdfast/bytes/backend-path';
import { RandomContent } from '@holdfast/test-support/random-file';
import { describe, expect, it } from 'vitest';
import { bytesAt, chunksOf, sampleBytes } from '../conformance/sample-bytes.ts';
import { refusal } from '../conformance/subject.ts';
import { prepareIscsi } from '../iscsi.ts';
import { ScratchLun } from './testing/scratch-lun.ts';

const MIB = 1024 * 1024;
/** Milliseconds; every mount starts two processes and the tools of a file system, which a busy machine is slow with. */
const timeout = 600_000;
const p = parseBackendPath;
const bytes = sampleBytes(100_000);
const large = new RandomContent('iscsi', 256 * MIB);

/** The large content; `at` is called when as many MiB have been taken. */
async function* watched(at: number, then: () => void): AsyncGenerator<Uint8Array> {
  let taken = 0;
  for (const piece of large.pieces()) {
    if (taken === at) then();
    taken += 1;
    yield piece;
  }
}

describe('a server that is killed and comes back', { timeout }, () => {
  it('in the middle of a large write and a large read: both carry on, and every byte is right', async () => {
    await using lun = await ScratchLun.formatted({ sizeMiB: 600 });
    const restarts: Promise<void>[] = [];
    const restart = (): void => void restarts.push(lun.server.kill().then(() => lun.server.restart()));
    // At 200 MiB in the source the page cache has long begun to be written out.
    const { sha256 } = await lun.backend.write(p('/large'), watched(200, restart), {
      expectedSize: large.size,
    });
    expect(sha256).toBe(large.sha256());
    // Mounted anew: from the disk, not from memory.
    await lun.backend[Symbol.asyncDispose]();
    await using again = lun.backendFor(lun.volumeId);
    await using file = await again.open(p('/large'));
    const isRight = large.checker();
    let read = 0;
    for await (const chunk of file.stream()) {
      if (!isRight(Buffer.from(chunk))) throw new Error(`Other bytes came back before byte ${read}.`);
      read += chunk.byteLength;
      if (read > 64 * MIB && restarts.length === 1) restart();
    }
    await Promise.all(restarts);
    expect(read).toBe(large.size);
    expect((await again.list(ROOT)).entries).toHaveLength(1);
    expect(restarts).toHaveLength(2);
  });
});

describe('a server that is dead', { timeout }, () => {
  it('fails every operation within the time limit, and is used again when it is back', async () => {
    await using lun = await ScratchLun.formatted({ stallMs: 1500 });
    await lun.backend.write(p('/file'), chunksOf(bytes));
    lun.server.signal('SIGSTOP');
    const error = await refusal(
      lun.backend.write(p('/new'), chunksOf(sampleBytes(MIB))),
      'backend_unavailable',
    );
    expect(error.retryable).toBe(true);
    const report = await lun.backend.probe();
    expect(report.checks.find((check) => !check.ok)?.name).toBe('authenticate');
    await refusal(lun.backend.stat(p('/file')), 'backend_unavailable');
    lun.server.signal('SIGCONT');
    expect((await bytesAt(lun.backend, p('/file'))).equals(bytes)).toBe(true);
    await lun.backend.write(p('/new'), chunksOf(bytes));
    expect((await lun.backend.list(ROOT)).entries.map((entry) => entry.name)).toEqual(['file', 'new']);
  });

  it('does not hold a cancelled operation', async () => {
    await using lun = await ScratchLun.formatted({ proxied: true });
    await lun.backend.write(p('/file'), chunksOf(bytes));
    lun.proxy?.stall();
    const controller = new AbortController();
    const { port } = lun.config;
    const call = prepareIscsi({ ...lun.config, port }, { ...lun.surroundings, signal: controller.signal });
    controller.abort();
    await refusal(call, 'cancelled');
  });

  it('is told when nothing listens at all', async () => {
    await using lun = await ScratchLun.formatted();
    await lun.backend[Symbol.asyncDispose]();
    await lun.server.kill();
    await using backend = lun.backendFor(lun.volumeId);
    for (let round = 0; round < 2; round += 1) {
      const calls = Array.from({ length: 6 }, () => refusal(backend.stat(p('/file')), 'backend_unavailable'));
      for (const error of await Promise.all(calls)) expect(error.message).toContain('portal and port');
    }
    expect((await backend.probe()).checks.map(({ name, ok }) => `${name} ${ok}`).slice(0, 3)).toEqual([
      'resolve true',
      'connect false',
      'authenticate false',
    ]);
    await lun.server.restart();
    const stats = Array.from({ length: 6 }, () => refusal(backend.stat(p('/file')), 'file_not_found'));
    expect(await Promise.all(stats)).toHaveLength(6);
  });
});

describe('a disk that fails behind the server', { timeout }, () => {
  it('is unavailable, and is checked and mounted again when it has been mended', async () => {
    await using lun = await ScratchLun.formatted();
    await lun.backend.write(p('/file'), chunksOf(bytes));
    const protect = (value: number): Promise<string> => {
      const unit = ['--lld', 'iscsi', '--op', 'update', '--mode', 'logicalunit', '--tid', '1', '--lun', '1'];
      return lun.server.admin(...unit, '--params', `readonly=${value}`);
    };
    await protect(1);
    await refusal(lun.backend.write(p('/new'), chunksOf(sampleBytes(MIB))), 'backend_unavailable');
    await protect(0);
    await lun.backend.write(p('/new'), chunksOf(bytes));
    expect((await bytesAt(lun.backend, p('/file'))).equals(bytes)).toBe(true);
  });
});

describe.each([true, false])('a byte flipped in transit, with digests: %s', { timeout }, (digests) => {
  it('never gets into a file, whichever way it goes', async () => {
    await using lun = await ScratchLun.formatted({ digests, proxied: true });
    const { proxy, backend } = lun;
    if (proxy === undefined) throw new Error('There is no proxy.');
    const content = sampleBytes(2 * MIB, 3);
    // In the middle of the data of a write; in what comes back for it, where only answers and verification come.
    const places = [
      ['toServer', 700_001],
      ['toClient', digests ? 601 : 700_001],
    ] as const;
    for (const [direction, afterBytes] of places) {
      let isFlipped = false;
      const flipped = proxy.flipByte({ direction, afterBytes, mask: 0x10 }).then(() => (isFlipped = true));
      for (let round = 0; !isFlipped && round < 20; round += 1) {
        await backend.write(p(`/${direction}-${round}`), chunksOf(content));
      }
      await flipped;
    }
    const { entries } = await backend.list(ROOT);
    await backend[Symbol.asyncDispose]();
    await using again = lun.backendFor(lun.volumeId);
    for (const { path } of entries) expect((await bytesAt(again, path)).equals(content)).toBe(true);
    expect(entries.length).toBeGreaterThanOrEqual(2);
  });
});
