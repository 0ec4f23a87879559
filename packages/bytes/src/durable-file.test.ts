import { HoldfastError, isHoldfastError } from '@holdfast/contract/errors';
import fc from 'fast-check';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WRITE_BUFFER_BYTES } from './coalescing-writer.ts';
import { stageFile, writeFileDurably } from './durable-file.ts';
import { EMPTY_SHA256, sha256Hex } from './sha256.ts';
import { isTempName } from './temp-name.ts';

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-durable-'));
  path = join(folder, 'file');
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function* source(...chunks: (Uint8Array | string)[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield Buffer.from(chunk);
}

async function refusal(call: Promise<unknown>): Promise<HoldfastError> {
  const outcome = await call.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (isHoldfastError(outcome)) return outcome;
  throw new Error('The call was not refused by an error of ours.', { cause: outcome });
}

describe('stageFile', () => {
  it('stores any chunks in any cut, whatever is announced', async () => {
    const sizes = fc.array(
      fc.oneof(
        fc.nat({ max: 5000 }),
        fc.constantFrom(0, 65_536, WRITE_BUFFER_BYTES - 1, WRITE_BUFFER_BYTES, WRITE_BUFFER_BYTES + 1),
      ),
      { maxLength: 6 },
    );
    await fc.assert(
      fc.asyncProperty(sizes, fc.boolean(), async (lengths, isAnnounced) => {
        const chunks = lengths.map((length, index) => Buffer.alloc(length, `${index}~chunk`));
        const whole = Buffer.concat(chunks);
        await using staged = await stageFile(source(...chunks), {
          folder,
          label: '/file',
          expectedSize: isAnnounced ? whole.byteLength : undefined,
          expectedSha256: isAnnounced ? sha256Hex(whole) : undefined,
        });
        expect([staged.size, staged.sha256]).toEqual([whole.byteLength, sha256Hex(whole)]);
        const stats = await staged.publish({ folder, name: 'file' });
        expect(stats).toEqual(await stat(path, { bigint: true }));
        expect((await readFile(path)).equals(whole)).toBe(true);
      }),
      { numRuns: 40 },
    );
    expect(await readdir(folder)).toEqual(['file']);
  });

  it('asks the source for no more than it can put away', async () => {
    const chunk = Buffer.alloc(64 * 1024);
    let yielded = 0;
    let ahead = 0;
    const staging = join(folder, 'staged');
    async function* counted(): AsyncGenerator<Uint8Array> {
      for (let index = 0; index < 160; index += 1) {
        // What was yielded and is not in the file yet is what the writer holds.
        const written = existsSync(staging) ? (await stat(staging)).size : 0;
        ahead = Math.max(ahead, yielded - written);
        yielded += chunk.byteLength;
        yield chunk;
      }
    }
    await using staged = await stageFile(counted(), { folder, name: 'staged', label: '/file' });
    expect(staged.size).toBe(160 * chunk.byteLength);
    expect(ahead).toBeLessThanOrEqual(2 * WRITE_BUFFER_BYTES);
  });

  it.each([
    ['fewer bytes than announced', { expectedSize: 5 }, 'incomplete_body'],
    ['more bytes than announced', { expectedSize: 3 }, 'incomplete_body'],
    ['other bytes than announced', { expectedSha256: EMPTY_SHA256 }, 'checksum_mismatch'],
  ])('refuses %s and removes the temporary file', async (_what, expectations, code) => {
    const error = await refusal(
      stageFile(source('ab', 'cd'), { folder, label: '/isos/a.iso', ...expectations }),
    );
    expect(error.code).toBe(code);
    expect(error.message).toContain('/isos/a.iso');
    expect(await readdir(folder)).toEqual([]);
  });

  it('passes an error of the source on as it is, after the source could clean up', async () => {
    const failure = Object.assign(new Error('connection reset'), { code: 'ECONNRESET' });
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield Buffer.alloc(3 * WRITE_BUFFER_BYTES);
      throw failure;
    }
    await expect(stageFile(failing(), { folder, label: '/file' })).rejects.toBe(failure);
    expect(await readdir(folder)).toEqual([]);
  });

  it('keeps the first error when the source fails once more in cleaning up', async () => {
    const failing: AsyncIterable<Uint8Array> = {
      [Symbol.asyncIterator]: () => ({
        next: async () => ({ done: false, value: Buffer.from('too much') }),
        return: () => Promise.reject(new Error('cannot clean up')),
      }),
    };
    const error = await refusal(stageFile(failing, { folder, label: '/file', expectedSize: 2 }));
    expect(error.code).toBe('incomplete_body');
  });

  it('lets go of a source that hangs when it is cancelled', async () => {
    const controller = new AbortController();
    async function* stuck(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('a');
      queueMicrotask(() => controller.abort());
      await new Promise(() => {});
    }
    const error = await refusal(stageFile(stuck(), { folder, label: '/file', signal: controller.signal }));
    expect(error.code).toBe('cancelled');
    expect(await readdir(folder)).toEqual([]);
  });

  it('does not begin when it is cancelled before, nor in a folder that is not there', async () => {
    const signal = AbortSignal.abort();
    expect((await refusal(stageFile(source('a'), { folder, label: '/file', signal }))).code).toBe(
      'cancelled',
    );
    const missing = stageFile(source('a'), { folder: join(folder, 'missing'), label: '/file' });
    expect((await refusal(missing)).code).toBe('file_not_found');
  });
});

describe('a staged file', () => {
  it('is removed when it is not published, and stays when it is', async () => {
    {
      await using staged = await stageFile(source('a'), { folder, name: 'staged', label: '/file' });
      expect(await readdir(folder)).toEqual(['staged']);
      expect(staged.size).toBe(1);
    }
    expect(await readdir(folder)).toEqual([]);
  });

  it('never hides an error by its removal', async () => {
    const failure = new Error('the first error');
    const use = async (): Promise<void> => {
      await using staged = await stageFile(source('a'), { folder, name: 'staged', label: '/file' });
      await rm(join(folder, 'staged'));
      if (staged.size === 1) throw failure;
    };
    await expect(use()).rejects.toBe(failure);
  });

  it('is published for one of eight who want the name free', async () => {
    const texts = Array.from({ length: 8 }, (_, index) => `writer ${index}`);
    const outcomes = await Promise.allSettled(
      texts.map((text) => writeFileDurably(path, Buffer.from(text), { ifAbsent: true })),
    );
    const winners = outcomes.flatMap((outcome, index) =>
      outcome.status === 'fulfilled' ? [texts[index]] : [],
    );
    expect(winners).toEqual([await readFile(path, 'utf8')]);
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected')
        expect(isHoldfastError(outcome.reason, 'precondition_failed')).toBe(true);
    }
    expect(await readdir(folder)).toEqual(['file']);
  });

  it('does not take the place of a folder', async () => {
    await mkdir(path);
    await using staged = await stageFile(source('a'), { folder, label: '/file' });
    expect((await refusal(staged.publish({ folder, name: 'file' }))).code).toBe('is_a_directory');
  });

  const hasSharedMemory = existsSync('/dev/shm');
  it('goes to another file system by a second staging, whose intent is recorded before', async () => {
    // /dev/shm is a file system of its own on Linux; elsewhere the plain rename is what happens.
    const elsewhere = await mkdtemp(hasSharedMemory ? '/dev/shm/holdfast-' : join(tmpdir(), 'holdfast-'));
    try {
      const bytes = Buffer.alloc(2 * WRITE_BUFFER_BYTES + 7, 'across');
      const recorded: string[] = [];
      const intentPath = join(elsewhere, 'intent');
      const intentText = (tempName: string): string => {
        recorded.push(tempName);
        return tempName;
      };
      {
        await using staged = await stageFile(source(bytes), { folder: elsewhere, label: '/file' });
        const stats = await staged.publish({ folder, name: 'file', crossDevice: { intentPath, intentText } });
        expect(stats).toEqual(await stat(path, { bigint: true }));
      }
      expect((await readFile(path)).equals(bytes)).toBe(true);
      expect(recorded.every(isTempName)).toBe(true);
      expect(recorded).toHaveLength(hasSharedMemory ? 1 : 0);
      await using again = await stageFile(source('b'), { folder: elsewhere, label: '/file' });
      const target = { folder, name: 'file', ifAbsent: true, crossDevice: { intentPath, intentText } };
      expect((await refusal(again.publish(target))).code).toBe('precondition_failed');
      expect(await readdir(folder)).toEqual(['file']);
      expect(await readdir(elsewhere)).toHaveLength(1);
    } finally {
      await rm(elsewhere, { recursive: true });
    }
  });
});

describe('writeFileDurably', () => {
  it('replaces the whole file, with the mode that was asked for', async () => {
    await writeFileDurably(path, Buffer.from('a longer first text'));
    const result = await writeFileDurably(path, source('second'), { mode: 0o600 });
    expect(result).toEqual({ size: 6, sha256: sha256Hex('second') });
    expect(await readFile(path, 'utf8')).toBe('second');
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  it('changes nothing when the hook before publishing throws', async () => {
    await writeFile(path, 'old');
    const refused = new HoldfastError('conflict', 'Not now.');
    const write = writeFileDurably(path, source('new'), {
      beforePublish: (staged) => {
        expect(staged.size).toBe(3);
        throw refused;
      },
    });
    await expect(write).rejects.toBe(refused);
    expect(await readFile(path, 'utf8')).toBe('old');
    expect(await readdir(folder)).toEqual(['file']);
  });

  it('is refused as read_only where the folder may not be written', async () => {
    await chmod(folder, 0o500);
    const outcome = await writeFileDurably(path, source('a')).then(
      () => 'written',
      (error: unknown) => (isHoldfastError(error) ? error.code : error),
    );
    await chmod(folder, 0o700);
    // Permission bits do not hold the superuser.
    expect(outcome).toBe(process.getuid?.() === 0 ? 'written' : 'read_only');
  });
});
