import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sha256Hex } from '@holdfast/bytes/sha256';
import { endpoints } from '@holdfast/contract/endpoints';
import { startPostgres, type PostgresServer } from '@holdfast/test-support/postgres';
import { startTestHub, statusesOf, type TestHub } from '../testing/test-hub.ts';
import { chunkOf, refusalOf, sampleFile, UploadClient } from '../testing/upload-client.ts';

const CHUNK = 256 * 1024;
const HALF = CHUNK / 2;

describe.each(['sqlite', 'postgres'] as const)('requests of one upload that race, on %s', (dialect) => {
  let server: PostgresServer | undefined;
  let hub: TestHub;
  let client: UploadClient;
  beforeAll(async () => {
    if (dialect === 'postgres') server = await startPostgres();
    hub = await startTestHub(server === undefined ? {} : { databaseUrl: await server.createDatabase() });
    client = new UploadClient(hub);
  });
  afterAll(async () => {
    await hub[Symbol.asyncDispose]();
    await server?.dispose();
  });

  const superseded = { status: 409, code: 'superseded', fields: [] };
  const conflict = { status: 409, code: 'conflict', fields: [] };

  it('all chunks side by side are all taken', async () => {
    const file = sampleFile(16 * CHUNK);
    const { upload_id } = await client.initiate(file, CHUNK);
    const nums = Array.from({ length: 16 }, (_, num) => num);
    const answers = await Promise.all(
      nums.map((num) => client.send(upload_id, num, chunkOf(file, CHUNK, num))),
    );
    expect(answers.map(({ chunk_num }) => chunk_num)).toEqual(nums);
    expect(Math.max(...answers.map(({ uploaded_chunks }) => uploaded_chunks))).toBe(16);
    await client.completed(upload_id);
    expect(await client.content(file.sha256)).toEqual(file.bytes);
  });

  it('a chunk that a second connection sends is taken over from the first one, which is told so', async () => {
    const file = sampleFile(CHUNK);
    const { upload_id } = await client.initiate(file, CHUNK);
    const held = await client.hold(upload_id, 0, CHUNK);
    await held.write(file.bytes.subarray(0, HALF));
    const taken = await client.send(upload_id, 0, file.bytes);
    expect(taken).toMatchObject({ etag: file.sha256, uploaded_chunks: 1 });
    expect(await refusalOf(held.answer())).toEqual(superseded);
    await held.vanish();
    await client.completed(upload_id);
    expect(await client.content(file.sha256)).toEqual(file.bytes);
  });

  it('of three connections for a chunk the newest one is listened to', async () => {
    const file = sampleFile(CHUNK);
    const { upload_id } = await client.initiate(file, CHUNK);
    const first = await client.hold(upload_id, 0, CHUNK);
    await first.write(Buffer.alloc(HALF, 'first'));
    const second = await client.hold(upload_id, 0, CHUNK);
    expect(await refusalOf(first.answer())).toEqual(superseded);
    await second.write(Buffer.alloc(HALF, 'second'));
    const third = await client.hold(upload_id, 0, CHUNK);
    expect(await refusalOf(second.answer())).toEqual(superseded);
    expect((await third.end(file.bytes)).status).toBe(200);
    for (const held of [first, second]) await held.vanish();
    await client.completed(upload_id);
    expect(await client.content(file.sha256)).toEqual(file.bytes);
  });

  it('the same chunk from eight connections at once is taken once, and nobody is left without an answer', async () => {
    const file = sampleFile(CHUNK);
    const { upload_id } = await client.initiate(file, CHUNK);
    const answers = await Promise.all(Array.from({ length: 8 }, () => client.put(upload_id, 0, file.bytes)));
    for (const answer of answers) expect([200, 409]).toContain(answer.status);
    expect(answers.some(({ status }) => status === 200)).toBe(true);
    expect(await client.status(upload_id)).toMatchObject({ uploaded_chunks: 1, received_bytes: CHUNK });
  });

  it('a client that vanishes in mid-chunk leaves nothing locked, and its chunk uncounted', async () => {
    const file = sampleFile(2 * CHUNK);
    const { upload_id } = await client.initiate(file, CHUNK);
    await client.send(upload_id, 1, chunkOf(file, CHUNK, 1));
    const held = await client.hold(upload_id, 0, CHUNK);
    await held.write(Buffer.alloc(HALF, 'something else'));
    await held.vanish();
    expect(await client.status(upload_id)).toMatchObject({
      received_chunks: [[1, 1]],
      received_bytes: CHUNK,
    });
    await client.send(upload_id, 0, chunkOf(file, CHUNK, 0));
    await client.completed(upload_id);
    expect(await client.content(file.sha256)).toEqual(file.bytes);
  });

  it('a body that ends before its length is no chunk', async () => {
    const file = sampleFile(CHUNK);
    const { upload_id } = await client.initiate(file, CHUNK);
    const held = await client.hold(upload_id, 0, CHUNK);
    await held.write(file.bytes.subarray(0, CHUNK - 1));
    await held.vanish();
    expect(await refusalOf(client.complete(upload_id))).toMatchObject({ code: 'chunks_missing' });
  });

  it('two completes at once have the same answer', async () => {
    const file = sampleFile(4 * CHUNK);
    const { upload_id } = await client.initiate(file, CHUNK);
    for (const num of [0, 1, 2, 3]) await client.send(upload_id, num, chunkOf(file, CHUNK, num));
    const answers = await Promise.all([1, 2, 3, 4].map(() => client.completed(upload_id)));
    for (const answer of answers) expect(answer).toEqual(answers[0]);
    const { total } = await hub.call(endpoints.listHostFiles, { query: { sha256: file.sha256 } });
    expect(total).toBe(1);
  });

  it('a complete without the chunk that is still on its way changes nothing', async () => {
    const file = sampleFile(2 * CHUNK);
    const { upload_id } = await client.initiate(file, CHUNK);
    await client.send(upload_id, 0, chunkOf(file, CHUNK, 0));
    const held = await client.hold(upload_id, 1, CHUNK);
    await held.write(chunkOf(file, CHUNK, 1).subarray(0, HALF));
    expect(await refusalOf(client.complete(upload_id))).toMatchObject({ code: 'chunks_missing' });
    expect((await held.end(chunkOf(file, CHUNK, 1).subarray(HALF))).status).toBe(200);
    await client.completed(upload_id);
    expect(await client.content(file.sha256)).toEqual(file.bytes);
  });

  it('a repeated chunk that comes late neither keeps a complete waiting nor changes the file', async () => {
    const file = sampleFile(CHUNK);
    const { upload_id } = await client.initiate(file, CHUNK);
    await client.send(upload_id, 0, file.bytes);
    const late = await client.hold(upload_id, 0, CHUNK);
    await late.write(Buffer.alloc(HALF, 'another file'));
    await client.completed(upload_id);
    expect(await refusalOf(late.end(Buffer.alloc(HALF, 'another file')))).toMatchObject({
      code: 'chunk_conflict',
    });
    expect(await refusalOf(client.put(upload_id, 0, file.bytes))).toEqual(conflict);
    expect(await client.content(file.sha256)).toEqual(file.bytes);
  });

  it('an abort ends the chunk that is on its way', async () => {
    const file = sampleFile(2 * CHUNK);
    const { upload_id } = await client.initiate(file, CHUNK);
    await client.send(upload_id, 0, chunkOf(file, CHUNK, 0));
    const held = await client.hold(upload_id, 1, CHUNK);
    await held.write(chunkOf(file, CHUNK, 1).subarray(0, HALF));
    const aborted = await client.abort(upload_id);
    expect(await aborted.json()).toMatchObject({ status: 'aborted', chunks_uploaded: 1, chunks_deleted: 1 });
    expect(await refusalOf(held.answer())).toEqual(conflict);
    await held.vanish();
    expect(await client.status(upload_id)).toMatchObject({ status: 'aborted' });
  });

  it('of an abort and a complete one wins, and the upload is as that one said', async () => {
    const outcomes = new Set<string>();
    for (let round = 0; round < 10; round += 1) {
      const file = sampleFile(CHUNK);
      const { upload_id } = await client.initiate(file, CHUNK);
      await client.send(upload_id, 0, file.bytes);
      const [first, second] =
        round % 2 === 0 ? (['complete', 'abort'] as const) : (['abort', 'complete'] as const);
      const answers = await Promise.all([client[first](upload_id), client[second](upload_id)]);
      expect(statusesOf(answers)).toEqual([200, 409]);
      const winner = answers[0]?.status === 200 ? first : second;
      outcomes.add(winner);
      const { status } = await client.status(upload_id);
      expect(status).toBe(winner === 'complete' ? 'completed' : 'aborted');
      const read = await hub.response(endpoints.downloadContent, { params: { sha256: file.sha256 } });
      expect(read.status).toBe(winner === 'complete' ? 200 : 404);
      await read.arrayBuffer();
    }
    expect(outcomes.size).toBeGreaterThan(0);
  });

  it('a complete whose client has gone is finished all the same', async () => {
    const file = sampleFile(8 * CHUNK);
    const { upload_id } = await client.initiate(file, CHUNK);
    for (let num = 0; num < 8; num += 1) await client.send(upload_id, num, chunkOf(file, CHUNK, num));
    const { events } = hub.context;
    const done = new Promise<void>((resolve) => {
      const unsubscribe = events.subscribe((event) => {
        if (event.type !== 'upload.completed' || event.upload_id !== upload_id) return;
        unsubscribe();
        resolve();
      });
    });
    const going = new AbortController();
    const request = hub.request(`/api/uploads/${upload_id}/complete`, {
      method: 'POST',
      signal: going.signal,
    });
    const answered = request.then(
      () => 'answered',
      () => 'gone',
    );
    setImmediate(() => going.abort());
    await answered;
    // The request may have been cut before the hub saw it; then this one does the work.
    await client.completed(upload_id);
    await done;
    expect(await client.content(file.sha256)).toEqual(file.bytes);
  });

  it('a client that waits for 100 Continue is refused without sending its body', async () => {
    const file = sampleFile(CHUNK);
    const { upload_id } = await client.initiate(file, CHUNK);
    await client.abort(upload_id);
    const refused = await client.ask(upload_id, 0, { 'content-length': String(CHUNK) });
    if (refused === 'continue') throw new Error('the body was asked for');
    expect(await refusalOf(refused)).toEqual(conflict);
    const other = await client.ask(crypto.randomUUID(), 0, { 'content-length': '1' });
    if (other === 'continue') throw new Error('the body was asked for');
    expect(await refusalOf(other)).toMatchObject({ status: 404, code: 'upload_not_found' });
  });

  it('two hundred chunks at once of fifty uploads are all acknowledged and all there', async () => {
    const files = Array.from({ length: 50 }, (_, index) =>
      sampleFile(4 * 8192, { hostname: `many-${index}` }),
    );
    const ids = await Promise.all(files.map(async (file) => (await client.initiate(file, 8192)).upload_id));
    await Promise.all(
      ids.flatMap((id, index) => {
        const file = files[index];
        if (file === undefined) throw new Error('a file for each id');
        return [3, 2, 1, 0].map((num) => client.send(id, num, chunkOf(file, 8192, num)));
      }),
    );
    await Promise.all(ids.map((id) => client.completed(id)));
    for (const file of files.slice(0, 5))
      expect(sha256Hex(await client.content(file.sha256))).toBe(file.sha256);
  });
});
