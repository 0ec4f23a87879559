import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { encodeBatchHeader } from '@holdfast/bytes/batch-framing';
import { sha256Hex } from '@holdfast/bytes/sha256';
import { endpoints } from '@holdfast/contract/endpoints';
import { batchMediaType, MAX_BATCH_FILES, type BatchResult } from '@holdfast/contract/uploads';
import { ADMIN_KEY, problemOf, startTestHub, type TestHub } from '../../testing/test-hub.ts';

let hub: TestHub;
beforeAll(async () => {
  hub = await startTestHub();
});
afterAll(() => hub[Symbol.asyncDispose]());

interface Given {
  name: string;
  bytes: Buffer;
  /** In place of what belongs there. */
  header?: Record<string, unknown>;
}

function encode(files: readonly Given[]): Buffer<ArrayBuffer> {
  return Buffer.concat(
    files.flatMap(({ name, bytes, header }) => [
      encodeBatchHeader({
        filepath: `/home/ada/${name}`,
        hostname: 'batch-1',
        sha256: sha256Hex(bytes),
        size: bytes.length,
        mtime: '2026-01-02T03:04:05Z',
        mode: 0o640,
        ...header,
      }),
      bytes,
    ]),
  );
}

function post(
  body: Buffer<ArrayBuffer>,
  key: string = ADMIN_KEY,
  type: string = batchMediaType,
): Promise<Response> {
  return hub.request('/api/uploads/batch', { method: 'POST', headers: { 'content-type': type }, body, key });
}

async function send(files: readonly Given[], key?: string): Promise<BatchResult['files']> {
  const answer = await post(encode(files), key);
  expect(answer.status).toBe(200);
  return endpoints.uploadBatch.response?.parse(await answer.json()).files ?? [];
}

function sample(name: string, size = 100): Given {
  return { name, bytes: Buffer.alloc(size, `${name} ${crypto.randomUUID()}`) };
}

describe('a batch', () => {
  test('keeps every file with its time and mode, and hands its bytes out again', async () => {
    const files = [
      sample('a'),
      sample('b', 1024 * 1024),
      { name: 'empty', bytes: Buffer.alloc(0) },
      sample('ü\n'),
    ];
    const answers = await send(files);
    expect(answers.map(({ status }) => status)).toEqual(['stored', 'stored', 'stored', 'stored']);
    const { files: listed } = await hub.call(endpoints.listHostFiles, { query: { hostname: 'batch-1' } });
    expect(listed.map(({ filepath, mode, mtime }) => ({ filepath, mode, mtime }))).toEqual(
      files
        .map(({ name }) => ({
          filepath: `/home/ada/${name}`,
          mode: 0o640,
          mtime: '2026-01-02T03:04:05.000Z',
        }))
        .toSorted((one, other) => Buffer.compare(Buffer.from(one.filepath), Buffer.from(other.filepath))),
    );
    for (const { bytes } of files) {
      const answer = await hub.request(`/api/files/${sha256Hex(bytes)}/content`, { key: ADMIN_KEY });
      expect(Buffer.from(await answer.arrayBuffer()).equals(bytes)).toBe(true);
    }
  });

  test('sent again is deduplicated, and makes no new versions', async () => {
    const files = [sample('again-1'), sample('again-2')];
    const first = await send(files);
    const second = await send(files);
    expect(second.map(({ status }) => status)).toEqual(['deduplicated', 'deduplicated']);
    expect(second.map(({ file_id }) => file_id)).toEqual(first.map(({ file_id }) => file_id));
  });

  test('answers each file on its own: what is wrong is refused, the rest is stored', async () => {
    const files: Given[] = [
      sample('good'),
      { ...sample('wrong-sum'), header: { sha256: sha256Hex('other bytes') } },
      { ...sample('no-host'), header: { hostname: 'a host' } },
      { ...sample('surplus'), header: { owner: 'ada' } },
      sample('good-too'),
    ];
    const answers = await send(files);
    expect(answers.map(({ status, code }) => code ?? status)).toEqual([
      'stored',
      'checksum_mismatch',
      'validation_failed',
      'validation_failed',
      'stored',
    ]);
    expect(answers[2]?.detail).toContain('hostname');
    expect((await hub.request(`/api/files/${sha256Hex('other bytes')}`, { key: ADMIN_KEY })).status).toBe(
      404,
    );
  });

  test('refuses other bytes under the digest of a content that is kept, or of another file of the batch', async () => {
    const [kept, fresh] = [sample('kept-sum'), sample('fresh-sum')];
    await send([kept]);
    const forged = (name: string, of: Given): Given => ({
      ...sample(name),
      header: { sha256: sha256Hex(of.bytes) },
    });
    const answers = await send([
      forged('forged-1', kept),
      forged('forged-2', fresh),
      fresh,
      forged('forged-3', fresh),
    ]);
    expect(answers.map(({ status, code }) => code ?? status)).toEqual([
      'checksum_mismatch',
      'checksum_mismatch',
      'stored',
      'checksum_mismatch',
    ]);
    for (const { bytes } of [kept, fresh]) {
      const answer = await hub.request(`/api/files/${sha256Hex(bytes)}/content`, { key: ADMIN_KEY });
      expect(Buffer.from(await answer.arrayBuffer()).equals(bytes)).toBe(true);
    }
  });

  test('tells a key nothing about contents beyond its reach', async () => {
    const secret = sample('secret');
    await send([secret]);
    const { token } = await hub.issueKey({ name: 'batch-writer', scopes: ['files:write'] });
    const own = { ...secret, header: { filepath: '/home/eve/secret' } };
    expect((await send([own], token))[0]?.status).toBe('stored');
    expect((await send([own], token))[0]?.status).toBe('deduplicated');
  });

  test('of another machine than the key is for is refused file by file', async () => {
    const { token } = await hub
      .call(endpoints.createKey, {
        body: { name: 'batch-2-only', scopes: ['files:write'], hostname: 'batch-2' },
      })
      .then(({ data }) => data);
    const answers = await send(
      [sample('theirs'), { ...sample('own'), header: { hostname: 'batch-2' } }],
      token,
    );
    expect(answers.map(({ status, code }) => code ?? status)).toEqual(['forbidden', 'stored']);
  });

  test('stops at the quota of its key', async () => {
    const { token } = await hub
      .call(endpoints.createKey, {
        body: { name: 'batch-quota', scopes: ['files:write'], quota_files: 2 },
      })
      .then(({ data }) => data);
    const answers = await send([sample('q1'), sample('q2'), sample('q3')], token);
    expect(answers.map(({ status, code }) => code ?? status)).toEqual(['stored', 'stored', 'quota_exceeded']);
  });

  test('of the most files there may be is stored in groups', async () => {
    const files = Array.from({ length: MAX_BATCH_FILES }, (_, index) => sample(`many-${index}`, 8192));
    const answers = await send(files);
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set(['stored']));
    expect(answers.map(({ filepath }) => filepath)).toEqual(files.map(({ name }) => `/home/ada/${name}`));
  });

  test('that is cut short, malformed or of another type is refused as a whole', async () => {
    const bytes = encode([sample('cut')]);
    expect(await problemOf(await post(bytes.subarray(0, bytes.length - 1)))).toMatchObject({
      code: 'incomplete_body',
      errors: [{ field: 'files.0' }],
    });
    expect((await post(Buffer.from([0, 0, 0, 1, 0x7b]))).status).toBe(400);
    expect((await post(bytes, ADMIN_KEY, 'application/json')).status).toBe(415);
    expect(await send([])).toEqual([]);
  });

  test('sent by sixteen clients at once ends with each content once', async () => {
    const shared = Array.from({ length: 20 }, (_, index) => sample(`shared-${index}`));
    const before = (await hub.call(endpoints.getVault, {})).data.contents;
    const all = await Promise.all(Array.from({ length: 16 }, () => send(shared)));
    for (const answers of all) expect(answers.every(({ status }) => status !== 'refused')).toBe(true);
    expect((await hub.call(endpoints.getVault, {})).data.contents).toBe(before + 20);
  });
});
