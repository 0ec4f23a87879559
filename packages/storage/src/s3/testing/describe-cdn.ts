import { parseBackendPath } from '@holdfast/bytes/backend-path';
import { PutBucketPolicyCommand } from '@aws-sdk/client-s3';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http';
import { gzipSync } from 'node:zlib';
import { describe, expect, it, onTestFinished } from 'vitest';
import { bytesAt, chunksOf, readAll, sampleBytes } from '../../conformance/sample-bytes.ts';
import type { S3Backend } from '../../s3.ts';
import type { S3Bench, TestBucket } from './s3-bench.ts';

const path = parseBackendPath('/a folder/file+1');
const bytes = sampleBytes(600_000, 9);

interface Answer {
  status: number;
  headers: OutgoingHttpHeaders;
  body: Buffer;
}
type Change = (answer: Answer, requested: IncomingHttpHeaders) => Answer | 'cut';

/** A cache in front of a public bucket, which passes on what the gateway answers, or something else. */
async function startCdn(
  bench: S3Bench,
  bucket: TestBucket,
  change: Change,
): Promise<{ url: string; served: string[] }> {
  const name = bucket.config.bucket;
  const statement = {
    Effect: 'Allow',
    Principal: '*',
    Action: 's3:GetObject',
    Resource: `arn:aws:s3:::${name}/*`,
  };
  const Policy = JSON.stringify({ Version: '2012-10-17', Statement: [statement] });
  await bench.admin.send(new PutBucketPolicyCommand({ Bucket: name, Policy }));
  const served: string[] = [];
  const answer = async (url: string, requested: IncomingHttpHeaders): Promise<Answer> => {
    const headers: Record<string, string> = {};
    for (const header of ['range', 'if-match'] as const) {
      const value = requested[header];
      if (value !== undefined) headers[header] = value;
    }
    const origin = await fetch(`${bench.server.url}/${name}${url}`, { headers });
    const body = Buffer.from(await origin.arrayBuffer());
    return { status: origin.status, headers: { ...Object.fromEntries(origin.headers) }, body };
  };
  const server = createServer((request, response) => {
    const url = request.url ?? '';
    void answer(url, request.headers).then((passed) => {
      served.push(url);
      const changed = change(passed, request.headers);
      if (changed === 'cut') {
        response.writeHead(passed.status, passed.headers);
        response.write(passed.body.subarray(0, 100_000), () => response.destroy());
        return;
      }
      response.writeHead(changed.status, changed.headers).end(changed.body);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The CDN has no port.');
  return { url: `http://127.0.0.1:${address.port}`, served };
}

/** Reads by way of a CDN. */
export function describeCdn(bench: () => S3Bench): void {
  async function setUp(change: Change): Promise<{
    bucket: TestBucket;
    backend: S3Backend;
    served: string[];
    warnings: string[];
  }> {
    const bucket = await bench().bucket({ prefix: 'p' });
    await bucket.backend.write(path, chunksOf(bytes));
    const { url, served } = await startCdn(bench(), bucket, change);
    const warnings: string[] = [];
    const logger = { warn: (_details: object, message: string) => void warnings.push(message) };
    const backend = bucket.other({ prefix: 'p', cdn_enabled: true, cdn_url: url, logger });
    return { bucket, backend, served, warnings };
  }

  describe('reads by way of the CDN', () => {
    it('whole files and ranges, by the same version as the bucket has', async () => {
      const { backend, served, warnings } = await setUp((answer) => answer);
      expect((await bytesAt(backend, path)).equals(bytes)).toBe(true);
      await using file = await backend.open(path);
      expect((await readAll(file, { start: 10, end: 300_000 })).equals(bytes.subarray(10, 300_000))).toBe(
        true,
      );
      expect(served).toEqual(['/p/a%20folder/file%2B1', '/p/a%20folder/file%2B1']);
      expect(warnings).toEqual([]);
      const report = await backend.probe();
      expect(report.checks.at(-1)).toMatchObject({ name: 'cdn', ok: true });
      expect(report.checks.at(-1)?.message).toContain('the same objects');
    });

    it.each<[string, Change]>([
      ['has another version', (answer) => ({ ...answer, headers: { ...answer.headers, etag: '"old"' } })],
      ['fails', () => ({ status: 502, headers: {}, body: Buffer.from('bad gateway') })],
      [
        'compresses',
        ({ status, headers, body }) => {
          const packed = gzipSync(body);
          const length = String(packed.byteLength);
          const changed = { ...headers, 'content-encoding': 'gzip', 'content-length': length };
          return { status, headers: changed, body: packed };
        },
      ],
      ['breaks off in the middle', () => 'cut'],
    ])('and from the bucket itself when the CDN %s', async (_what, change) => {
      const { backend, warnings } = await setUp(change);
      expect((await bytesAt(backend, path)).equals(bytes)).toBe(true);
      await using file = await backend.open(path);
      expect((await readAll(file, { start: 10, end: 300_000 })).equals(bytes.subarray(10, 300_000))).toBe(
        true,
      );
      expect(warnings).toHaveLength(2);
    });
  });

  it('stays usable, and says so in its checks, when the CDN is not there', async () => {
    const bucket = await bench().bucket();
    await bucket.backend.write(path, chunksOf(bytes));
    const backend = bucket.other({ cdn_enabled: true, cdn_url: 'http://127.0.0.1:1' });
    expect((await bytesAt(backend, path)).equals(bytes)).toBe(true);
    const report = await backend.probe();
    expect(report.ok).toBe(true);
    expect(report.checks.at(-1)?.message).toContain('config.cdn_url');
  });
}
