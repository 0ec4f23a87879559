import type { ListMultipartUploadsCommandOutput } from '@aws-sdk/client-s3';
import type { CallOptions, Connection } from '../connection.ts';
import type { UploadHandle } from '../uploads.ts';

/** Every multipart upload under way for keys with a beginning, page by page. */
export async function* eachUpload(
  connection: Connection,
  prefix: string,
  options: CallOptions,
): AsyncGenerator<UploadHandle & { initiated: Date }> {
  interface Markers {
    KeyMarker?: string;
    UploadIdMarker?: string;
  }
  for (let markers: Markers | undefined = {}; markers !== undefined;) {
    const query = { Prefix: prefix, ...markers };
    const page: ListMultipartUploadsCommandOutput = await connection.call(
      options,
      async ({ client, library, bucket }, abortSignal) => {
        const command = new library.ListMultipartUploadsCommand({ Bucket: bucket, ...query });
        return client.send(command, { abortSignal });
      },
    );
    for (const { Key: key, UploadId: uploadId, Initiated: initiated } of page.Uploads ?? []) {
      if (key === undefined || uploadId === undefined || initiated === undefined) continue;
      if (key.startsWith(prefix)) yield { key, uploadId, initiated };
    }
    const { NextKeyMarker: key, NextUploadIdMarker: uploadId, IsTruncated: hasMore } = page;
    markers =
      hasMore === true && key !== undefined
        ? { KeyMarker: key, ...(uploadId === undefined ? {} : { UploadIdMarker: uploadId }) }
        : undefined;
  }
}
