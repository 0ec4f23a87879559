import { describe, expect, it } from 'vitest';
import { refusal } from '../conformance/subject.ts';
import { addressOf, parseS3Config } from './config.ts';
import type { S3Config, S3Place } from './config.ts';

const good: S3Config = {
  endpoint: 'https://s3.example.org:9000',
  bucket: 'files',
  region: '',
  access_key_id: 'key',
  secret_access_key: 'the-secret',
};

describe('parseS3Config', () => {
  it('needs only endpoint, bucket and keys', () => {
    const place = parseS3Config(good);
    expect(place).toMatchObject({ region: 'us-east-1', prefix: '', pathStyle: true, cdnUrl: undefined });
    expect(addressOf(place)).toEqual({ host: 's3.example.org', port: 9000, isSecure: true });
  });

  it('leaves the endpoint to the region for Amazon, with the bucket in the name of the server', () => {
    const place = parseS3Config({ ...good, endpoint: null, region: 'eu-west-3' });
    expect(place).toMatchObject({ endpoint: undefined, pathStyle: false });
    expect(addressOf(place)).toEqual({
      host: 'files.s3.eu-west-3.amazonaws.com',
      port: 443,
      isSecure: true,
    });
  });

  it.each([
    ['', ''],
    ['/', ''],
    ['a', 'a/'],
    ['/a//b c/', 'a/b c/'],
  ])('brings the prefix %j to the form %j', (prefix, expected) => {
    expect(parseS3Config({ ...good, prefix }).prefix).toBe(expected);
  });

  it('uses the CDN only when it is on', () => {
    const cdn = { ...good, cdn_url: 'https://cdn.example.org/files/' };
    expect(parseS3Config(cdn).cdnUrl).toBeUndefined();
    expect(parseS3Config({ ...cdn, cdn_enabled: true }).cdnUrl).toBe('https://cdn.example.org/files');
  });

  it.each<[keyof S3Config, Partial<S3Config>]>([
    ['endpoint', { endpoint: 's3.example.org' }],
    ['endpoint', { endpoint: 'ftp://s3.example.org' }],
    ['endpoint', { endpoint: 'https://user:password@s3.example.org' }],
    ['endpoint', { endpoint: 'https://s3.example.org/?x' }],
    ['bucket', { bucket: '' }],
    ['bucket', { bucket: 'a/b' }],
    ['region', { region: 'eu west' }],
    ['access_key_id', { access_key_id: '' }],
    ['secret_access_key', { secret_access_key: '' }],
    ['secret_access_key', { secret_access_key: 'the-secret\n' }],
    ['prefix', { prefix: '../up' }],
    ['prefix', { prefix: 'p/'.repeat(257) }],
    ['cdn_url', { cdn_enabled: true }],
    ['cdn_url', { cdn_enabled: true, cdn_url: 'cdn' }],
  ])('refuses a wrong %s: %j', async (field, wrong) => {
    const parse = async (): Promise<S3Place> => parseS3Config({ ...good, ...wrong });
    const error = await refusal(parse(), 'validation_failed');
    expect(error.errors?.map((problem) => problem.field)).toEqual([`config.${field}`]);
    expect(error.message).not.toMatch(/the-secret|password@/);
  });
});
