import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeBatch } from '@holdfast/bytes/batch-framing';
import { startHub, type HubUnderTest } from '@holdfast/test-support/hub';
import fc from 'fast-check';
import { batchHeader, joined } from './batch-frame.ts';
import { uploadSmallFiles, type SmallFile, type SmallFileResult } from './batch.ts';
import { createClient, type HubClient } from './client.ts';

async function* each(files: SmallFile[]): AsyncGenerator<SmallFile> {
  yield* files;
}

function fileOf(filepath: string, text: string, size = Buffer.byteLength(text)): SmallFile {
  return { hostname: 'small', filepath, size, mode: 0o644, read: async () => Buffer.from(text) };
}

describe('sending many small files', () => {
  let hub: HubUnderTest;
  let client: HubClient;
  beforeAll(async () => {
    hub = await startHub();
    client = createClient({ url: hub.url, apiKey: hub.adminKey });
  });
  afterAll(async () => hub[Symbol.asyncDispose]());

  async function send(files: SmallFile[], options = {}): Promise<SmallFileResult[]> {
    const results = [];
    for await (const result of uploadSmallFiles(client, each(files), options)) results.push(result);
    return results;
  }

  it('answers for each in its order, over several groups', async () => {
    const files = Array.from({ length: 2500 }, (_, index) =>
      fileOf(`/many/ä${index}`, `text ${index % 2000}`),
    );
    const results = await send(files, { groupBytes: 64 * 1024, parallel: 3 });
    expect(results.map(({ filepath }) => filepath)).toEqual(files.map(({ filepath }) => filepath));
    expect(results.filter(({ status }) => status === 'refused')).toEqual([]);
    expect((await client.call('getVault')).contents).toBe(2000);
  });

  it('refuses single files without holding up the others', async () => {
    const unreadable = { ...fileOf('/unreadable', ''), read: () => Promise.reject(new Error('EACCES')) };
    const files = [
      fileOf('/good/1', 'one'),
      unreadable,
      fileOf('/grown', 'more than that', 2),
      fileOf('/huge', '', 2 ** 31),
      { ...fileOf('/bad name', 'x'), hostname: 'no blanks allowed' },
      fileOf('/good/2', 'two'),
    ];
    const results = await send(files);
    expect(results.map(({ status, code }) => code ?? status)).toEqual([
      'stored',
      'file_not_found',
      'conflict',
      'too_large',
      'validation_failed',
      'stored',
    ]);
  });

  it('sends nothing for no files, and stops when it is cancelled', async () => {
    expect(await send([])).toEqual([]);
    const cancelled = send([fileOf('/late', 'late')], { signal: AbortSignal.abort() });
    await expect(cancelled).rejects.toMatchObject({ code: 'cancelled' });
  });

  it('frames files as the hub reads them', async () => {
    const limits = { files: 1000, headerBytes: 32_768, fileBytes: 1024, totalBytes: 2 ** 24 };
    const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(name, fc.uint8Array({ maxLength: 50 })), { maxLength: 20 }),
        async (files) => {
          const pieces = files.flatMap(([filepath, bytes]) => [
            batchHeader({ hostname: 'h', filepath, sha256: 'a', size: bytes.byteLength }),
            bytes,
          ]);
          const whole = joined(
            pieces,
            pieces.reduce((sum, piece) => sum + piece.byteLength, 0),
          );
          const found: unknown[] = [];
          async function* source() {
            yield whole;
          }
          for await (const { header, bytes } of decodeBatch(source(), limits))
            found.push([header['filepath'], Buffer.from(bytes).toString('hex')]);
          expect(found).toEqual(
            files.map(([filepath, bytes]) => [filepath, Buffer.from(bytes).toString('hex')]),
          );
        },
      ),
    );
  });
});
