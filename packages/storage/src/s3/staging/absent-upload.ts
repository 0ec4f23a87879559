import type { HoldfastError } from '@holdfast/contract/errors';
import type { StagedObject } from './staged-object.ts';
import type { SealedDigest, UploadSession } from './upload-session.ts';

/** An upload whose pieces this hub does not have. What was sealed can be published all the same, and all of it discarded. */
export class AbsentUpload implements UploadSession {
  readonly staged: StagedObject;
  readonly uploadId: string | undefined;
  readonly hashed = 0;
  readonly #why: () => HoldfastError;

  constructor(staged: StagedObject, uploadId: string | undefined, why: () => HoldfastError) {
    this.staged = staged;
    this.uploadId = uploadId;
    this.#why = why;
  }

  prefixGrew(): void {}

  async receive(): Promise<never> {
    throw this.#why();
  }

  async seal(): Promise<SealedDigest> {
    throw this.#why();
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
