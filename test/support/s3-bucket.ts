import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import type { S3Server } from './s3-server.ts';

/** Makes a bucket. Throws when the server refuses it. */
export async function createBucket(server: S3Server, name: string): Promise<void> {
  const client = new S3Client({
    endpoint: server.url,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: server.accessKeyId, secretAccessKey: server.secretAccessKey },
  });
  try {
    await client.send(new CreateBucketCommand({ Bucket: name }));
  } finally {
    client.destroy();
  }
}
