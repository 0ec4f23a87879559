import { parseBackendPath, ROOT } from '@holdfast/bytes/backend-path';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import { runProcess } from '@holdfast/test-support/process';
import { describe, expect, it } from 'vitest';
import { chunksOf, sampleBytes } from '../../conformance/sample-bytes.ts';
import { refusal } from '../../conformance/subject.ts';
import { prepareS3 } from '../../s3.ts';
import type { S3Config } from '../../s3.ts';
import type { S3Bench, S3Traits } from './s3-bench.ts';

const path = parseBackendPath('/file');
const bytes = sampleBytes(100);
const wrongSecret = 'not-the-secret-0123456789';

/** Who may do what, which bucket it is, and what is told of failures. */
export function describeAccess(bench: () => S3Bench, traits: S3Traits): void {
  describe('prepareS3', () => {
    it('marks a bucket once and adopts the marker after', async () => {
      const bucket = await bench().bucket({ prefix: 'p' });
      const marker: unknown = JSON.parse((await bucket.get('p/.holdfast/volume.json')).toString());
      expect(marker).toMatchObject({ volume_id: bucket.volumeId });
      expect(await prepareS3(bucket.config)).toEqual({ volumeId: bucket.volumeId });
      const beside = await prepareS3({ ...bucket.config, prefix: 'q' });
      expect(beside.volumeId).not.toBe(bucket.volumeId);
    });

    it('lets one id write when several set the same place up at once', async () => {
      const bucket = await bench().bucket();
      const config = { ...bucket.config, prefix: 'shared' };
      const prepared = await Promise.all(Array.from({ length: 6 }, () => prepareS3(config)));
      const ids = new Set(prepared.map((one) => one.volumeId));
      const { volumeId } = await prepareS3(config);
      expect(ids).toContain(volumeId);
      if (traits.conditionalWrites) expect(ids.size).toBe(1);
      for (const id of ids) {
        const write = bucket.other({ prefix: 'shared', volumeId: id }).write(path, chunksOf(bytes));
        if (id === volumeId) await write;
        else await refusal(write, 'wrong_volume');
      }
    });

    it.each<[keyof S3Config, Partial<S3Config>]>([
      ['bucket', { bucket: 'no-such-bucket' }],
      [traits.tellsUnknownKeys ? 'access_key_id' : 'secret_access_key', { access_key_id: 'nobody' }],
      ['secret_access_key', { secret_access_key: wrongSecret }],
    ])('names the field %s when it is wrong', async (field, wrong) => {
      const { config } = await bench().bucket();
      const error = await refusal(prepareS3({ ...config, ...wrong }), 'validation_failed');
      expect(error.errors?.map((problem) => problem.field)).toEqual([`config.${field}`]);
    });

    it('names the endpoint where no TLS, or no S3, is spoken', async () => {
      const { config } = await bench().bucket();
      const secure = bench().server.url.replace('http:', 'https:');
      const error = await refusal(prepareS3({ ...config, endpoint: secure }), 'validation_failed');
      expect(error.errors?.[0]?.field).toBe('config.endpoint');
    });

    it('tells an unreachable server from a wrong configuration', async () => {
      const { config } = await bench().bucket();
      for (const endpoint of ['http://127.0.0.1:1', 'http://no-such-host.invalid']) {
        await refusal(prepareS3({ ...config, endpoint }, { timeoutMs: 1000 }), 'backend_unavailable');
      }
    });

    it('refuses a damaged marker', async () => {
      const bucket = await bench().bucket();
      await bucket.put('.holdfast/volume.json', '{"volume_id": 7}');
      await refusal(prepareS3(bucket.config), 'validation_failed');
    });
  });

  it.each([
    ['authenticate', { access_key_id: 'nobody' }],
    ['authenticate', { secret_access_key: wrongSecret }],
    ['bucket', { bucket: 'no-such-bucket' }],
    ['volume', { volumeId: 'another' }],
    ['connect', { endpoint: 'http://127.0.0.1:1' }],
    ['resolve', { endpoint: 'http://no-such-host.invalid' }],
  ])('probe says that "%s" failed, and which field to look at, for %j', async (name, wrong) => {
    const bucket = await bench().bucket();
    const report = await bucket.other(wrong).probe();
    const failed = report.checks.find((check) => !check.ok);
    expect(failed?.name).toBe(name);
    expect(failed?.message).toMatch(/config\.(?:endpoint|access_key_id|secret_access_key|bucket|region)/);
    expect(report.ok).toBe(false);
  });

  it('never tells the secret, in whatever fails', async () => {
    const bucket = await bench().bucket();
    const secret = bench().server.secretAccessKey;
    const told: unknown[] = [];
    const logger = { warn: (...line: unknown[]) => void told.push(line) };
    for (const wrong of [
      { secret_access_key: wrongSecret },
      { bucket: 'no-such-bucket' },
      { endpoint: 'http://127.0.0.1:1', timeoutMs: 300 },
      { volumeId: 'another' },
    ]) {
      const backend = bucket.other({ ...wrong, logger });
      for (const call of [
        () => backend.stat(path),
        () => backend.list(ROOT),
        () => backend.write(path, chunksOf(sampleBytes(9 * 1024 ** 2))),
        () => backend.remove(path),
      ]) {
        told.push(
          await call().then(
            () => 'went through',
            (error: unknown) => error,
          ),
        );
      }
      told.push(await backend.probe(), backend);
    }
    told.push(
      await prepareS3({ ...bucket.config, secret_access_key: wrongSecret }).catch((error: unknown) => error),
    );
    const text = inspect(told, { depth: 10, showHidden: true });
    expect(text).not.toContain(secret);
    expect(text).not.toContain(wrongSecret);
    expect(text).toContain('SignatureDoesNotMatch');
  }, 60_000);

  describe('refuses to write', () => {
    it('without the marker, and beside the marker of another volume', async () => {
      const bucket = await bench().bucket();
      await bucket.backend.write(path, chunksOf(bytes));
      const foreign = bucket.other({ volumeId: 'another' });
      await refusal(foreign.write(path, chunksOf(sampleBytes(5))), 'wrong_volume');
      await refusal(foreign.remove(path), 'wrong_volume');
      await refusal(foreign.makeFolder(parseBackendPath('/folder')), 'wrong_volume');
      await refusal(foreign.sweep(), 'wrong_volume');
      await bucket.remove('.holdfast/volume.json');
      await refusal(bucket.backend.write(path, chunksOf(sampleBytes(5))), 'backend_unavailable');
      await refusal(bucket.backend.stat(parseBackendPath('/none')), 'backend_unavailable');
      expect(await bucket.get('file')).toEqual(bytes);
      expect(await bucket.keys()).toEqual(['file']);
    });
  });

  it('does not keep the process alive', async () => {
    const bucket = await bench().bucket();
    await bucket.backend.write(path, chunksOf(bytes));
    const script = `
      const { createS3Backend } = await import(${JSON.stringify(new URL('../../s3.ts', import.meta.url).href)});
      const backend = createS3Backend(JSON.parse(process.env.S3_OPTIONS));
      console.log((await backend.stat('/file')).size);
    `;
    const options = JSON.stringify({ ...bucket.config, volumeId: bucket.volumeId, ownerId: 'hub-1' });
    const { stdout } = await runProcess(process.execPath, ['--input-type=module', '-e', script], {
      cwd: fileURLToPath(new URL('.', import.meta.url)),
      env: { S3_OPTIONS: options },
      timeoutMs: 20_000,
    });
    expect(stdout.trim()).toBe('100');
  }, 30_000);
}
