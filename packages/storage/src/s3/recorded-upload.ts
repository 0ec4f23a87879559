import type { Bucket } from './bucket.ts';
import type { CallOptions } from './connection.ts';
import { WRITE_ID } from './object-metadata.ts';
import type { KeptHeaders } from './objects.ts';
import { abandonUpload, removeRecord, writeRecord } from './upload-record.ts';
import type { UploadRecord } from './upload-record.ts';
import { completeUpload, createUpload } from './uploads.ts';
import type { StoredPart } from './uploads.ts';

export interface RecordedUploadOptions {
  bucket: Bucket;
  key: string;
  /** Of the object; with `WRITE_ID`, by which it is known again once it is there. */
  metadata: Record<string, string>;
  /** Kept with the object. */
  headers: KeptHeaders;
  /** Name of the record in the staging area. */
  recordName: string;
}

/** A multipart upload with a record of it in the staging area, by which a sweep can give it up after a crash. */
export class RecordedUpload {
  readonly handle: UploadRecord;
  readonly #bucket: Bucket;
  readonly #recordName: string;

  private constructor(bucket: Bucket, recordName: string, handle: UploadRecord) {
    this.#bucket = bucket;
    this.#recordName = recordName;
    this.handle = handle;
  }

  static async begin(options: RecordedUploadOptions, call: CallOptions): Promise<RecordedUpload> {
    const { bucket, key, metadata, headers, recordName } = options;
    const handle = await createUpload(bucket.connection, key, metadata, headers, call);
    const upload = new RecordedUpload(bucket, recordName, { ...handle, writeId: metadata[WRITE_ID] });
    try {
      await writeRecord(bucket, recordName, upload.handle, call);
      return upload;
    } catch (error) {
      await upload.giveUp(call.doing, error);
      throw error;
    }
  }

  /**
   * Joins the parts; the object appears whole, in one step.
   * @param landed tells whether an earlier try took effect
   */
  async join(
    parts: readonly StoredPart[],
    ifAbsent: boolean,
    call: CallOptions,
    landed: () => Promise<true | undefined>,
  ): Promise<void> {
    await completeUpload(this.#bucket.connection, this.handle, parts, ifAbsent, call, landed);
    await this.#bucket.cleanUp(`The record ${this.#recordName} of a finished upload`, undefined, (patience) =>
      removeRecord(this.#bucket, this.#recordName, { doing: call.doing, patience }),
    );
  }

  /** Has the server forget the parts, unless they have become an object after all. Never throws. */
  async giveUp(doing: string, cause: unknown): Promise<void> {
    await this.#bucket.cleanUp(`The upload of ${this.handle.key} that failed`, cause, async (patience) => {
      await abandonUpload(this.#bucket, this.handle, { doing, patience });
      await removeRecord(this.#bucket, this.#recordName, { doing, patience });
    });
  }
}
