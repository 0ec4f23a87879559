import { sha256Hex } from '@holdfast/bytes/sha256';
import { makeTempDir } from '@holdfast/test-support/temp-dir';
import type { TempDir } from '@holdfast/test-support/temp-dir';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chunksOf, readAll, sampleBytes } from '../../conformance/sample-bytes.ts';
import { beginUpload, TestUpload, uploadOf } from '../../conformance/staged-upload.ts';
import { refusal } from '../../conformance/subject.ts';
import type { ContentArea } from '../../contents.ts';
import { startScratchDav } from '../testing/scratch-dav.ts';
import type { OpenOptions, ScratchDav } from '../testing/scratch-dav.ts';

const MIB = 1024 ** 2;
let dav: ScratchDav;
let spools: TempDir;

beforeAll(async () => {
  dav = await startScratchDav();
  spools = await makeTempDir('spool');
});
afterAll(async () => {
  await dav[Symbol.asyncDispose]();
  await spools[Symbol.asyncDispose]();
});

/** A hub; the same name once more is the same hub after a restart. */
function hub(name: string, options: OpenOptions = {}): ContentArea {
  const { contents } = dav.open({ ownerId: name, spoolDir: spools.join(name), ...options });
  if (contents === undefined) throw new Error('The backend has no contents.');
  return contents;
}

async function expectContent(area: ContentArea, bytes: Buffer): Promise<void> {
  await using file = await area.open(sha256Hex(bytes));
  expect((await readAll(file)).equals(bytes)).toBe(true);
  expect(await dav.staged()).toEqual([]);
}

describe('an upload to a web server', () => {
  it('goes on after a restart of the hub, and leaves nothing in its spool', async () => {
    const bytes = sampleBytes(6 * MIB, 1);
    const upload = await beginUpload(hub('one'), bytes.byteLength, 2 * MIB);
    await upload.send(bytes, 4 * MIB);
    await upload.send(bytes, 0, 2 * MIB);
    await upload.upload[Symbol.asyncDispose]();
    const area = hub('one');
    const again = new TestUpload(area, upload.key, await area.staging.resume(upload.key));
    for (const { position, bytes: length } of upload.pieces) again.note(position, { bytes: length });
    await again.send(bytes, 2 * MIB, 4 * MIB);
    expect(await again.seal(bytes.byteLength)).toBe(sha256Hex(bytes));
    expect(await again.upload.publish(sha256Hex(bytes), bytes.byteLength)).toEqual({ stored: true });
    await again.upload.discard();
    await expectContent(area, bytes);
    expect(await readdir(spools.join('one'))).toEqual([]);
  });

  it('belongs to the hub that gathers it', async () => {
    const upload = await beginUpload(hub('one'), 10, 10);
    await refusal(hub('two').staging.resume(upload.key), 'backend_unavailable');
    await upload.upload.discard();
  });

  it('is refused at its beginning when the spool has no room for all of it', async () => {
    const area = hub('small', { spoolBytes: 4 * MIB });
    const upload = { id: 'a', size: 4 * MIB + 1, chunkSize: MIB };
    await refusal(area.staging.create(upload), 'too_large');
    expect((await area.staging.list()).map(({ id }) => id)).toEqual([]);
    const unknown = await beginUpload(area, null, null);
    const source = chunksOf(sampleBytes(5 * MIB, 2));
    await refusal(unknown.upload.receive(0, source, { keepPartial: true }), 'too_large', 'busy');
    await unknown.upload.discard();
    await (await uploadOf(area, sampleBytes(4 * MIB, 3), MIB)).upload.discard();
  }, 60_000);

  it('is published after the server was killed meanwhile, and again after its answer was lost', async () => {
    const bytes = sampleBytes(5 * MIB, 4);
    const sha256 = sha256Hex(bytes);
    const area = hub('one', { timeLimitMs: 400 });
    const upload = await uploadOf(area, bytes, MIB);
    await upload.seal(bytes.byteLength);
    await dav.server.kill();
    const error = await refusal(upload.upload.publish(sha256, bytes.byteLength), 'backend_unavailable');
    expect(error.retryable).toBe(true);
    await dav.server.restart();
    await upload.upload.publish(sha256, bytes.byteLength);
    await expectContent(area, bytes);
    await rm(join(dav.server.root, '.holdfast/vault'), { recursive: true });
    // The folder that was made before is gone: it is made again.
    expect(await upload.upload.publish(sha256, bytes.byteLength)).toEqual({ stored: true });
    await expectContent(area, bytes);
    await upload.upload.discard();
  }, 60_000);

  it('is not published with a byte that was changed on its way', async () => {
    const bytes = sampleBytes(3 * MIB, 5);
    const sha256 = sha256Hex(bytes);
    const area = hub('one');
    const upload = await uploadOf(area, bytes, MIB);
    await upload.seal(bytes.byteLength);
    const there = dav.proxy.flipByte({ direction: 'toServer', afterBytes: MIB });
    await refusal(upload.upload.publish(sha256, bytes.byteLength), 'backend_unavailable');
    await there;
    expect(await area.stat(sha256)).toBeNull();
    const back = dav.proxy.flipByte({ direction: 'toClient', afterBytes: MIB });
    expect(await upload.upload.publish(sha256, bytes.byteLength)).toEqual({ stored: true });
    await back;
    await expectContent(area, bytes);
    await upload.upload.discard();
  });

  it('needs a spool, and a server that takes files', () => {
    expect(dav.open().contents).toBeUndefined();
    const readOnly = { config: { writable: false }, spoolDir: spools.join('none') };
    expect(dav.open(readOnly).contents).toBeUndefined();
  });
});
