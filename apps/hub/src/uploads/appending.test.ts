import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sha256Hex } from '@holdfast/bytes/sha256';
import type { Principal } from '../access/principal.ts';
import { startTestHub, type TestHub } from '../testing/test-hub.ts';
import { sampleFile, UploadClient, type SampleFile } from '../testing/upload-client.ts';
import type { Upload, Uploads, UploadSpec } from './uploads.ts';

/** The engine under tus: bytes from an offset on. */
describe('an upload that grows', () => {
  let hub: TestHub;
  let uploads: Uploads;
  let principal: Principal;
  let client: UploadClient;
  beforeAll(async () => {
    hub = await startTestHub();
    client = new UploadClient(hub);
    uploads = hub.context.uploads;
    const { token } = await hub.issueKey({ scopes: ['admin'] });
    principal = await hub.context.access.authenticate(`Bearer ${token}`);
  });
  afterAll(() => hub[Symbol.asyncDispose]());

  const begin = async (file: SampleFile, fields: Partial<UploadSpec> = {}): Promise<Upload> => {
    const begun = await uploads.begin(principal, {
      protocol: 'tus',
      filepath: file.filepath,
      hostname: file.hostname,
      sha256: file.sha256,
      size: file.bytes.length,
      chunkSize: null,
      mtime: null,
      mode: null,
      ...fields,
    });
    if (begun.kind === 'deduplicated') throw new Error('The hub has the content already.');
    return begun.session;
  };
  async function* bytesOf(...parts: Uint8Array[]): AsyncGenerator<Uint8Array> {
    yield* parts;
  }
  async function* cut(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
    yield bytes;
    throw new Error('the connection was cut');
  }
  /** Sends bytes, and then nothing more until it is left. */
  async function* stalled(bytes: Uint8Array, sent: () => void): AsyncGenerator<Uint8Array> {
    yield bytes;
    sent();
    await new Promise(() => undefined);
  }

  it('keeps what came of a connection that was cut, and goes on from there', async () => {
    const file = sampleFile(300_000);
    const { id } = await begin(file);
    const first = await uploads.append(principal, id, 0, cut(file.bytes.subarray(0, 100_000)));
    expect(first).toMatchObject({ offset: 100_000, size: 300_000, complete: false });
    await expect(uploads.append(principal, id, 0, bytesOf(file.bytes))).rejects.toMatchObject({
      code: 'offset_mismatch',
      errors: [{ field: 'Upload-Offset', message: 'must be 100000' }],
    });
    const rest = await uploads.append(principal, id, 100_000, bytesOf(file.bytes.subarray(100_000)));
    expect(rest).toMatchObject({ offset: 300_000, complete: true });
    expect(await uploads.complete(principal, id)).toMatchObject({ sha256: file.sha256, size: 300_000 });
    expect(await client.content(file.sha256)).toEqual(file.bytes);
  });

  it('is taken over from a connection that has stalled; what that one brought counts', async () => {
    const file = sampleFile(200_000);
    const { id } = await begin(file);
    const { promise: sent, resolve } = Promise.withResolvers<undefined>();
    const source = stalled(file.bytes.subarray(0, 50_000), () => resolve(undefined));
    const old = uploads.append(principal, id, 0, source);
    await sent;
    const newcomer = uploads.append(principal, id, 0, bytesOf(file.bytes));
    newcomer.catch(() => undefined); // looked at below
    await expect(old).rejects.toMatchObject({ code: 'superseded' });
    await expect(newcomer).rejects.toMatchObject({ code: 'offset_mismatch' });
    const { receivedBytes } = await uploads.session(principal, id);
    expect(receivedBytes).toBe(50_000);
    await uploads.append(principal, id, 50_000, bytesOf(file.bytes.subarray(50_000)));
    expect(await uploads.complete(principal, id)).toMatchObject({ sha256: file.sha256 });
  });

  it.each(['sha1', 'sha256'] as const)(
    'counts nothing of bytes whose %s is another one',
    async (algorithm) => {
      const file = sampleFile(10_000);
      const { id } = await begin(file);
      const digest = createHash(algorithm).update(file.bytes).digest();
      const damaged = Buffer.from(file.bytes).fill(0, 500, 501);
      const checksum = { algorithm, digest };
      await expect(uploads.append(principal, id, 0, bytesOf(damaged), { checksum })).rejects.toMatchObject({
        code: 'upload_checksum_mismatch',
      });
      await expect(
        uploads.append(principal, id, 0, cut(file.bytes.subarray(0, 100)), { checksum }),
      ).rejects.toThrow('cut');
      expect((await uploads.session(principal, id)).receivedBytes).toBe(0);
      expect(await uploads.append(principal, id, 0, bytesOf(file.bytes), { checksum })).toMatchObject({
        offset: 10_000,
      });
      await uploads.complete(principal, id);
      expect(await client.content(file.sha256)).toEqual(file.bytes);
    },
  );

  it('takes no byte beyond its size', async () => {
    const file = sampleFile(1000);
    const { id } = await begin(file);
    const more = Buffer.alloc(1001);
    await expect(uploads.append(principal, id, 0, bytesOf(more), { length: 1001 })).rejects.toMatchObject({
      code: 'too_large',
    });
    await expect(uploads.append(principal, id, 0, bytesOf(more))).rejects.toMatchObject({
      code: 'too_large',
    });
    expect((await uploads.session(principal, id)).receivedBytes).toBe(0);
  });

  it('may learn its size later', async () => {
    const file = sampleFile(1000);
    const { id } = await begin(file, { size: null });
    await uploads.append(principal, id, 0, bytesOf(file.bytes));
    await expect(uploads.complete(principal, id)).rejects.toMatchObject({ code: 'conflict' });
    await expect(uploads.declareSize(principal, id, 999)).rejects.toMatchObject({ code: 'invalid_request' });
    expect(await uploads.declareSize(principal, id, 1000)).toMatchObject({ size: 1000 });
    expect(await uploads.declareSize(principal, id, 1000)).toMatchObject({ size: 1000 });
    await expect(uploads.declareSize(principal, id, 1001)).rejects.toMatchObject({ code: 'conflict' });
    expect(await uploads.complete(principal, id)).toMatchObject({ sha256: file.sha256 });
  });

  it('is put together from finished parts, in their order', async () => {
    const [a, b] = [sampleFile(70_000), sampleFile(30_000)];
    const whole = Buffer.concat([a.bytes, b.bytes]);
    const parts: string[] = [];
    for (const file of [a, b]) {
      const { id } = await begin(file, { isPartial: true, sha256: null });
      parts.push(id);
      await uploads.append(principal, id, 0, bytesOf(file.bytes));
      await expect(uploads.complete(principal, id)).rejects.toMatchObject({ code: 'conflict' });
    }
    const spec = { filepath: '/whole', hostname: 'h', sha256: sha256Hex(whole), mtime: null, mode: null };
    const final = await uploads.concatenate(principal, spec, parts);
    expect(final).toMatchObject({ receivedBytes: 100_000, size: 100_000, isPartial: false });
    expect(await uploads.complete(principal, final.id)).toMatchObject({ sha256: sha256Hex(whole) });
    expect(await client.content(sha256Hex(whole))).toEqual(whole);
  });

  it('is not put together from what is unfinished or no part', async () => {
    const file = sampleFile(1000);
    const spec = { filepath: '/whole', hostname: 'h', sha256: null, mtime: null, mode: null };
    const unfinished = await begin(file, { isPartial: true, sha256: null });
    await uploads.append(principal, unfinished.id, 0, bytesOf(file.bytes.subarray(0, 999)));
    const ordinary = await begin(file);
    for (const { id } of [unfinished, ordinary]) {
      await expect(uploads.concatenate(principal, spec, [id])).rejects.toMatchObject({
        code: 'conflict',
        errors: [{ field: 'Upload-Concat' }],
      });
    }
  });

  it('goes on where it was after a restart', async () => {
    const file = sampleFile(100_000);
    const { id } = await begin(file);
    await uploads.append(principal, id, 0, bytesOf(file.bytes.subarray(0, 40_000)));
    await hub.restart();
    uploads = hub.context.uploads;
    expect(await uploads.session(principal, id)).toMatchObject({ receivedBytes: 40_000 });
    await uploads.append(principal, id, 40_000, bytesOf(file.bytes.subarray(40_000)));
    expect(await uploads.complete(principal, id)).toMatchObject({ sha256: file.sha256 });
    expect(await client.content(file.sha256)).toEqual(file.bytes);
  });
});
