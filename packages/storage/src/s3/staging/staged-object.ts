import { parseBackendPath } from '@holdfast/bytes/backend-path';
import type { HoldfastError } from '@holdfast/contract/errors';
import { noSuchUpload } from '../../contents/content-names.ts';
import type { Bucket } from '../bucket.ts';
import type { CallOptions } from '../connection.ts';
import { S3Failure } from '../failure.ts';
import { partError } from '../multipart.ts';
import { deleteObject, headObject } from '../objects.ts';
import type { StoredObject } from '../objects.ts';
import { S3File } from '../open-file.ts';

/** Where an upload stands before it has a name: bytes that nobody has verified as a whole are not in the vault. */
export class StagedObject {
  readonly bucket: Bucket;
  readonly id: string;
  readonly key: string;

  constructor(bucket: Bucket, id: string) {
    this.bucket = bucket;
    this.id = id;
    this.key = bucket.keys.uploads + id;
  }

  async find(call: CallOptions): Promise<StoredObject | undefined> {
    return headObject(this.bucket.connection, this.key, call);
  }

  /** @throws HoldfastError `file_not_found` */
  async open(call: CallOptions): Promise<S3File> {
    const object = await this.find(call);
    if (object === undefined) throw this.gone();
    return new S3File(
      this.bucket,
      undefined,
      { path: parseBackendPath(`/upload ${this.id}`), key: this.key },
      object,
    );
  }

  async remove(call: CallOptions): Promise<void> {
    await deleteObject(this.bucket.connection, this.key, call);
  }

  /** Runs a request that sends a part. @throws HoldfastError `file_not_found` when the upload was given up */
  async sending<T>(
    doing: string,
    partNumber: number,
    signal: AbortSignal | undefined,
    request: () => Promise<T>,
  ): Promise<T> {
    return this.bucket.run(doing, 'write', signal, async () => {
      try {
        return await request();
      } catch (error) {
        if (!(error instanceof S3Failure)) throw error;
        if (error.code === 'NoSuchUpload') throw this.gone(error);
        throw error.code === 'InvalidArgument' ? partError(error, doing, partNumber) : error;
      }
    });
  }

  gone(cause?: unknown): HoldfastError {
    return noSuchUpload(this.id, cause);
  }
}
