import type { S3Server } from '@holdfast/test-support/s3-server';
import { startTcpProxy } from '@holdfast/test-support/tcp-proxy';
import type { TcpProxy } from '@holdfast/test-support/tcp-proxy';
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { mapBounded } from '../../concurrency/bounded.ts';
import { createS3Backend, prepareS3 } from '../../s3.ts';
import type { S3Backend, S3BackendOptions, S3Config } from '../../s3.ts';

/** What servers differ in. */
export interface S3Traits {
  /** Of two that write to a free key with `If-None-Match: *`, one is refused. */
  conditionalWrites: boolean;
  /** An access key that it does not know is another refusal than a wrong secret. */
  tellsUnknownKeys: boolean;
}

/** A bucket of its own for a test, the backend on it, and ways round the backend. */
export interface TestBucket {
  config: S3Config;
  volumeId: string;
  backend: S3Backend;
  /** Another backend on the same bucket, with these options. It is closed with the bench. */
  other(options: Partial<S3BackendOptions>): S3Backend;
  put(key: string, bytes: Uint8Array | string, metadata?: Record<string, string>): Promise<void>;
  get(key: string): Promise<Buffer>;
  remove(key: string): Promise<void>;
  metadata(key: string): Promise<Record<string, string>>;
  /** All keys of the bucket, without the marker. */
  keys(): Promise<string[]>;
  /** Keys of the uploads that are under way. */
  uploads(): Promise<string[]>;
}

/** One server that speaks S3 for all tests of a file; it ends with the bench. */
export class S3Bench<Server extends S3Server = S3Server> implements AsyncDisposable {
  readonly server: Server;
  /** The library itself, as the owner of all buckets. */
  readonly admin: S3Client;
  readonly #resources = new AsyncDisposableStack();
  #buckets = 0;

  constructor(server: Server) {
    this.server = server;
    this.#resources.use(server);
    const { accessKeyId, secretAccessKey } = server;
    this.admin = this.#clientOf(accessKeyId, secretAccessKey);
  }

  #clientOf(accessKeyId: string, secretAccessKey = ''): S3Client {
    const client = new S3Client({
      region: 'us-east-1',
      endpoint: this.server.url,
      forcePathStyle: true,
      credentials: { accessKeyId, secretAccessKey },
      requestChecksumCalculation: 'WHEN_REQUIRED',
    });
    return this.#resources.adopt(client, (open) => {
      open.destroy();
    });
  }

  /** A relay in front of the server. */
  async proxy(): Promise<TcpProxy> {
    return this.#resources.use(await startTcpProxy({ port: this.server.port }));
  }

  /** Makes an empty bucket with a backend on it. */
  async bucket(options: Partial<S3BackendOptions> = {}): Promise<TestBucket> {
    this.#buckets += 1;
    const name = `bucket-${this.#buckets}`;
    const client =
      options.access_key_id === undefined
        ? this.admin
        : this.#clientOf(options.access_key_id, options.secret_access_key);
    await client.send(new CreateBucketCommand({ Bucket: name }));
    const config: S3Config = {
      endpoint: this.server.url,
      bucket: name,
      access_key_id: options.access_key_id ?? this.server.accessKeyId,
      secret_access_key: options.secret_access_key ?? this.server.secretAccessKey,
      path_style: true,
      ...(options.prefix === undefined ? {} : { prefix: options.prefix }),
    };
    const { volumeId } = await prepareS3(config);
    const other = (extra: Partial<S3BackendOptions>): S3Backend =>
      this.#resources.use(createS3Backend({ ...config, volumeId, ownerId: 'hub-1', ...extra }));
    return {
      config,
      volumeId,
      backend: other(options),
      other,
      put: async (key, bytes, metadata) => {
        const body = typeof bytes === 'string' ? Buffer.from(bytes) : bytes;
        await client.send(new PutObjectCommand({ Bucket: name, Key: key, Body: body, Metadata: metadata }));
      },
      get: async (key) => {
        const { Body: body } = await client.send(new GetObjectCommand({ Bucket: name, Key: key }));
        return Buffer.from((await body?.transformToByteArray()) ?? []);
      },
      remove: async (key) => {
        await client.send(new DeleteObjectCommand({ Bucket: name, Key: key }));
      },
      metadata: async (key) =>
        (await client.send(new HeadObjectCommand({ Bucket: name, Key: key }))).Metadata ?? {},
      keys: async () => {
        // Some servers fail where XML cannot hold a key as it is.
        const list = new ListObjectsV2Command({ Bucket: name, EncodingType: 'url' });
        const { Contents: contents } = await client.send(list);
        const keys = (contents ?? []).map(({ Key = '' }) => decodeURIComponent(Key.replaceAll('+', ' ')));
        return keys.filter((key) => !key.endsWith('.holdfast/volume.json'));
      },
      uploads: async () => {
        const { Uploads: uploads } = await client.send(new ListMultipartUploadsCommand({ Bucket: name }));
        return (uploads ?? []).map((upload) => upload.Key ?? '');
      },
    };
  }

  /** Puts many one-byte objects into a bucket, several at a time. */
  async seed(bucket: TestBucket, keys: readonly string[]): Promise<void> {
    await mapBounded(keys, 32, (key) => bucket.put(key, 'x'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}
