import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { endpoints } from '@holdfast/contract/endpoints';
import { startPostgres, type PostgresServer } from '@holdfast/test-support/postgres';
import { startTestHub, statusesOf, type TestHub } from '../testing/test-hub.ts';
import { chunkOf, refusalOf, sampleFile, UploadClient } from '../testing/upload-client.ts';

const CHUNK = 128 * 1024;

describe('two hubs of one database', () => {
  let server: PostgresServer;
  let hubs: [TestHub, TestHub];
  let clients: [UploadClient, UploadClient];
  beforeAll(async () => {
    server = await startPostgres();
    const shared = { databaseUrl: await server.createDatabase(), secretKey: 'ab'.repeat(32) };
    hubs = [await startTestHub(shared), await startTestHub(shared)];
    clients = [new UploadClient(hubs[0]), new UploadClient(hubs[1])];
  });
  afterAll(async () => {
    for (const hub of hubs.toReversed()) await hub[Symbol.asyncDispose]();
    await server.dispose();
  });

  it('take the chunks of one upload in turn, and either completes it', async () => {
    const [first, second] = clients;
    const file = sampleFile(6 * CHUNK + 3);
    const { upload_id } = await first.initiate(file, CHUNK);
    for (let num = 0; num < 7; num += 1)
      await (num % 2 === 0 ? first : second).send(upload_id, num, chunkOf(file, CHUNK, num));
    for (const client of clients)
      expect(await client.status(upload_id)).toMatchObject({ uploaded_chunks: 7, received_chunks: [[0, 6]] });
    const completed = await second.completed(upload_id);
    expect(await first.completed(upload_id)).toEqual(completed);
    expect(await first.content(file.sha256)).toEqual(file.bytes);
    expect(await second.content(file.sha256)).toEqual(file.bytes);
  });

  it('know each other’s chunks: the same bytes have the same answer, others are a conflict', async () => {
    const [first, second] = clients;
    const file = sampleFile(2 * CHUNK);
    const { upload_id } = await first.initiate(file, CHUNK);
    const taken = await first.send(upload_id, 0, chunkOf(file, CHUNK, 0));
    expect(await second.send(upload_id, 0, chunkOf(file, CHUNK, 0))).toEqual(taken);
    const other = Buffer.alloc(CHUNK, 'other');
    expect(await refusalOf(second.put(upload_id, 0, other))).toMatchObject({ code: 'chunk_conflict' });
  });

  it('that take different bytes for one chunk at the same time trust neither: the upload fails', async () => {
    const [first, second] = clients;
    const file = sampleFile(CHUNK);
    const { upload_id } = await first.initiate(file, CHUNK);
    const held = await second.hold(upload_id, 0, CHUNK);
    const other = Buffer.alloc(CHUNK, 'other');
    await held.write(other.subarray(0, 100));
    await first.send(upload_id, 0, file.bytes);
    expect(await refusalOf(held.end(other.subarray(100)))).toMatchObject({ code: 'chunk_conflict' });
    expect(await first.status(upload_id)).toMatchObject({ status: 'failed' });
    expect(await refusalOf(first.complete(upload_id))).toMatchObject({ code: 'chunk_conflict' });
  });

  it('that complete one upload at the same time give one answer and one host file', async () => {
    for (let round = 0; round < 5; round += 1) {
      const file = sampleFile(CHUNK);
      const { upload_id } = await clients[0].initiate(file, CHUNK);
      await clients[0].send(upload_id, 0, file.bytes);
      const [one, other] = await Promise.all(clients.map((client) => client.completed(upload_id)));
      expect(one).toEqual(other);
      const { total } = await hubs[0].call(endpoints.listHostFiles, { query: { sha256: file.sha256 } });
      expect(total).toBe(1);
      expect(await clients[0].content(file.sha256)).toEqual(file.bytes);
    }
  });

  it('that race with an abort and a complete agree on who won', async () => {
    const [first, second] = clients;
    for (let round = 0; round < 5; round += 1) {
      const file = sampleFile(CHUNK);
      const { upload_id } = await first.initiate(file, CHUNK);
      await first.send(upload_id, 0, file.bytes);
      const answers = await Promise.all([first.complete(upload_id), second.abort(upload_id)]);
      expect(statusesOf(answers)).toEqual([200, 409]);
      const { status } = await second.status(upload_id);
      expect(status).toBe(answers[0]?.status === 200 ? 'completed' : 'aborted');
    }
  });

  it('leave each other’s uploads alone when one of them starts again', async () => {
    const [first, second] = clients;
    const file = sampleFile(2 * CHUNK);
    const { upload_id } = await first.initiate(file, CHUNK);
    await first.send(upload_id, 1, chunkOf(file, CHUNK, 1));
    await hubs[1].restart();
    await second.send(upload_id, 0, chunkOf(file, CHUNK, 0));
    await first.completed(upload_id);
    expect(await second.content(file.sha256)).toEqual(file.bytes);
  });

  it('take over what the other one was completing when it stopped', async () => {
    const [first] = clients;
    const file = sampleFile(CHUNK);
    const { upload_id } = await first.initiate(file, CHUNK);
    await first.send(upload_id, 0, file.bytes);
    const { uploads } = hubs[0].context.catalog;
    await uploads.transition(upload_id, ['uploading'], 'completing', { sha256: file.sha256, size: CHUNK });
    const now = new Date();
    const gone = await uploads.claim(upload_id, 'a hub that is gone', {
      now,
      until: new Date(now.getTime() + 1),
    });
    expect(gone?.leaseHub).toBe('a hub that is gone');
    expect(await clients[1].completed(upload_id)).toMatchObject({ sha256: file.sha256 });
  });
});
