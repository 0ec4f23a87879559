import { randomBytes, randomInt } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { mountExt4, type Ext4Volume } from '../support/ext4-volume.ts';
import { startHub, type HubUnderTest } from '../support/hub.ts';
import { changeSettings, createLocalBackend, problemOf } from '../support/hub-storage.ts';
import {
  askToComplete,
  askToUpload,
  beginUpload,
  carryOn,
  ChunkedFile,
  completeUpload,
  filesWith,
  includes,
  offerChunk,
  sendBatch,
  sendChunk,
  servedContent,
  uploadState,
} from '../support/chunked-uploads.ts';
import { commitOnlyWhenAsked, cutPower } from '../support/power-cut.ts';
import { runProcess } from '../support/process.ts';
import { leftovers } from '../support/upload-leftovers.ts';
import { makeTempDir } from '../support/temp-dir.ts';

const mebibyte = 1024 * 1024;

describe('a power cut during uploads', () => {
  it('takes no chunk, completion or batch that was acknowledged', { timeout: 240_000 }, async () => {
    const seed = randomBytes(4).toString('hex');
    await using volume = await mountExt4(256 * mebibyte);
    await commitOnlyWhenAsked(volume);
    const dataDir = path.join(volume.root, 'data');
    await mkdir(dataDir); // where the hub is started; it makes its own on the volume
    await using hub = await startHub({ dataDir, prefix: volume.prefix });
    const told = new Told();
    for (let round = 0; round < 4; round += 1) {
      const least = randomInt(20, 80);
      const enough = told.counted(least);
      const uploaders = [0, 1, 2].map((lane) => keepUploading(hub, `${seed}-${round}-${lane}`, told));
      const batches = keepBatching(hub, `${seed}-${round}-batch`, told);
      await Promise.race([enough, Promise.all([...uploaders, batches])]);
      await cutPower(volume, { pid: hub.pid, kill: () => hub.kill('SIGKILL') });
      await Promise.all([...uploaders, batches]);
      await hub.restart();
      await expectKept(hub, told, `round ${round}, ${told.count} acknowledgements`);
    }
    console.info(
      `power cuts: ${told.chunks.length} chunks, ${told.files.length} files were acknowledged and are kept`,
    );
  });
});

describe('a disk that fills up', () => {
  it('refuses what does not fit, and goes on when there is space', { timeout: 120_000 }, async () => {
    await using volume = await mountExt4(24 * mebibyte);
    await using hub = await startHub({ prefix: volume.prefix });
    const small = await smallBackend(hub, volume);
    const elsewhere = new ChunkedFile('elsewhere', 3 * mebibyte, mebibyte);
    const elsewhereId = await beginUpload(hub, elsewhere);

    // Beginning: more than there is, and more than others have been promised.
    await expectFull(askToUpload(hub, new ChunkedFile('huge', 40 * mebibyte, mebibyte), small));
    const file = new ChunkedFile('promised', 12 * mebibyte, 4 * mebibyte);
    const id = await beginUpload(hub, file, small);
    await sendChunk(hub, id, file, 1);
    await expectFull(askToUpload(hub, new ChunkedFile('second', 10 * mebibyte, mebibyte), small));

    // A chunk.
    await fill(volume);
    await sendChunk(hub, elsewhereId, elsewhere, 0);
    await expectFull(offerChunk(hub, id, file, 0));
    await expectFull(askToUpload(hub, new ChunkedFile('third', 2 * mebibyte, mebibyte), small));
    expect(await uploadState(hub, id)).toMatchObject({ status: 'uploading', received_chunks: [[1, 1]] });
    await sendChunk(hub, elsewhereId, elsewhere, 1);
    await free(volume);
    for (const num of [0, 2]) await sendChunk(hub, id, file, num);

    // Completing: the vault has no folder yet, and gets none.
    await fill(volume);
    await expectFull(askToComplete(hub, id));
    await sendChunk(hub, elsewhereId, elsewhere, 2);
    await completeUpload(hub, elsewhereId);
    expect(await servedContent(hub, elsewhere.sha256)).toBe(elsewhere.sha256);
    expect((await filesWith(hub, file.sha256)).total).toBe(0);
    await free(volume);
    expect(await completeUpload(hub, id)).toMatchObject({ sha256: file.sha256, file_size: 12 * mebibyte });
    expect(await servedContent(hub, file.sha256)).toBe(file.sha256);

    // A batch.
    await changeSettings(hub, { default_ingest_backend_id: small });
    await fill(volume);
    const files = [1, 2, 3].map((num) => new ChunkedFile(`batched-${num}`, 50_000, 50_000));
    const refused = await sendBatch(hub, files);
    expect(refused.files.map(({ status, code }) => [status, code])).toEqual(
      files.map(() => ['refused', 'storage_full']),
    );
    expect((await hub.api('/readyz')).status).toBe(200);
    await free(volume);
    const stored = await sendBatch(hub, files);
    expect(stored.files.map(({ status }) => status)).toEqual(files.map(() => 'stored'));
    for (const { sha256 } of files) expect(await servedContent(hub, sha256)).toBe(sha256);
  });

  it('refuses to acknowledge what the catalog cannot note down', { timeout: 120_000 }, async () => {
    await using volume = await mountExt4(24 * mebibyte);
    await using elsewhere = await makeTempDir('bytes');
    const dataDir = path.join(volume.root, 'data');
    await mkdir(dataDir); // where the hub is started; it makes its own on the volume
    await using hub = await startHub({ dataDir, prefix: volume.prefix });
    const roomy = (await createLocalBackend(hub, 'roomy', elsewhere.path)).id;
    const file = new ChunkedFile('noted', 3 * mebibyte, mebibyte);
    const id = await beginUpload(hub, file, roomy);
    await sendChunk(hub, id, file, 0);
    const whole = new ChunkedFile('whole', mebibyte, mebibyte);
    const wholeId = await beginUpload(hub, whole, roomy);
    await sendChunk(hub, wholeId, whole, 0);

    await fill(volume);
    await expectFull(askToUpload(hub, new ChunkedFile('another', 1000, 1000), roomy));
    await expectFull(offerChunk(hub, id, file, 1));
    await expectFull(askToComplete(hub, wholeId));
    await free(volume);
    const { status, received_chunks } = await uploadState(hub, id);
    expect([status, received_chunks]).toEqual(['uploading', [[0, 0]]]);
    for (const [one, other] of [
      [id, file],
      [wholeId, whole],
    ] as const) {
      await carryOn(hub, one, other);
      expect(await servedContent(hub, other.sha256)).toBe(other.sha256);
    }
  });
});

/** What a hub has acknowledged. */
class Told {
  readonly chunks: { id: string; num: number }[] = [];
  readonly completed = new Map<string, string>();
  readonly files: ChunkedFile[] = [];
  count = 0;
  #waiting: { count: number; done: () => void } | undefined;

  chunk(id: string, num: number): void {
    this.chunks.push({ id, num });
    this.#more();
  }

  completion(id: string, file: ChunkedFile): void {
    this.completed.set(id, file.sha256);
    this.stored(file);
  }

  stored(file: ChunkedFile): void {
    this.files.push(file);
    this.#more();
  }

  /** Resolves after so many more acknowledgements. */
  counted(more: number): Promise<void> {
    return new Promise((done) => {
      this.#waiting = { count: this.count + more, done };
    });
  }

  #more(): void {
    this.count += 1;
    if (this.#waiting !== undefined && this.count >= this.#waiting.count) this.#waiting.done();
  }
}

/** Uploads one file after the other until the hub is gone. */
async function keepUploading(hub: HubUnderTest, seed: string, told: Told): Promise<void> {
  await untilGone(async (count) => {
    const file = new ChunkedFile(`${seed}-${count}`, 150_001, 50_000);
    const id = await beginUpload(hub, file);
    for (let num = file.chunks - 1; num >= 0; num -= 1) {
      await sendChunk(hub, id, file, num);
      told.chunk(id, num);
    }
    await completeUpload(hub, id);
    told.completion(id, file);
  });
}

async function keepBatching(hub: HubUnderTest, seed: string, told: Told): Promise<void> {
  await untilGone(async (count) => {
    const files = Array.from(
      { length: 8 },
      (_, num) => new ChunkedFile(`${seed}-${count}-${num}`, 9000, 9000),
    );
    const answer = await sendBatch(hub, files);
    expect(answer.files.map(({ status }) => status)).toEqual(files.map(() => 'stored'));
    for (const file of files) told.stored(file);
  });
}

async function untilGone(work: (count: number) => Promise<void>): Promise<void> {
  for (let count = 0; ; count += 1) {
    try {
      await work(count);
    } catch (error) {
      if (error instanceof TypeError) return; // of fetch: the connection broke, or there is no hub
      throw error;
    }
  }
}

async function expectKept(hub: HubUnderTest, told: Told, at: string): Promise<void> {
  expect(await leftovers(hub), at).toEqual([]);
  for (const { sha256, filepath } of told.files) {
    expect(await servedContent(hub, sha256), `${at}: ${filepath}`).toBe(sha256);
    const { files } = await filesWith(hub, sha256);
    expect(
      files.map((file) => file.filepath),
      at,
    ).toEqual([filepath]);
  }
  const noted = Map.groupBy(told.chunks, ({ id }) => id);
  for (const [id, chunks] of noted) {
    const { status, received_chunks } = await uploadState(hub, id);
    expect(told.completed.has(id) ? ['completed'] : ['uploading', 'completed'], at).toContain(status);
    for (const { num } of chunks) expect(includes(received_chunks, num), `${at}: ${id}, ${num}`).toBe(true);
  }
}

async function smallBackend(hub: HubUnderTest, volume: Ext4Volume): Promise<string> {
  const root = path.join(volume.root, 'small');
  await inside(volume, `mkdir '${root}'`);
  return (await createLocalBackend(hub, 'small', root)).id;
}

/** Leaves no block free. */
async function fill(volume: Ext4Volume): Promise<void> {
  const filler = path.join(volume.root, 'filler');
  await inside(volume, `! dd if=/dev/zero of='${filler}' bs=4k status=none 2>&1 && sync -f '${filler}'`);
}

/** The blocks can be used again when the journal has it. */
async function free(volume: Ext4Volume): Promise<void> {
  await inside(volume, `rm '${path.join(volume.root, 'filler')}' && sync -f '${volume.root}'`);
}

async function inside({ prefix }: Ext4Volume, script: string): Promise<void> {
  await runProcess(prefix[0], [...prefix.slice(1), 'sh', '-c', script]);
}

async function expectFull(asked: Promise<Response>): Promise<void> {
  const response = await asked;
  expect(response.status, await response.clone().text()).toBe(507);
  expect((await problemOf(response)).code).toBe('storage_full');
}
