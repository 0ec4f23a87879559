import { isRoot, RESERVED_FOLDER } from '@holdfast/bytes/backend-path';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import { HoldfastError } from '@holdfast/contract/errors';
import { STAGING_FOLDER } from '../volume/staging-slot.ts';

/** Bytes of a key in UTF-8 that S3 allows (Amazon S3 User Guide, "Object key naming guidelines"). */
const MAX_KEY_BYTES = 1024;

/** How paths of one backend are spelled as keys of its bucket. */
export class Keys {
  readonly prefix: string;
  /** Where unfinished uploads and records of them are. */
  readonly staging: string;
  /** Where uploads stand that are not verified as a whole. */
  readonly uploads: string;
  /** Where contents are, by their SHA-256. */
  readonly vault: string;
  readonly marker: string;

  /** @param prefix empty, or with a slash at its end */
  constructor(prefix: string) {
    this.prefix = prefix;
    this.staging = `${prefix}${RESERVED_FOLDER}/${STAGING_FOLDER}/`;
    this.uploads = `${prefix}${RESERVED_FOLDER}/uploads/`;
    this.vault = `${prefix}${RESERVED_FOLDER}/vault/`;
    this.marker = `${prefix}${RESERVED_FOLDER}/volume.json`;
  }

  /**
   * The key of a file.
   * @throws HoldfastError `invalid_path` when it is longer than S3 allows
   */
  ofFile(path: BackendPath): string {
    return this.#checked(path, `${this.prefix}${path.slice(1)}`);
  }

  /** What the keys of everything in a folder begin with; also the key of the folder's own empty object. */
  ofFolder(path: BackendPath): string {
    return isRoot(path) ? this.prefix : this.#checked(path, `${this.prefix}${path.slice(1)}/`);
  }

  #checked(path: BackendPath, key: string): string {
    if (Buffer.byteLength(key) <= MAX_KEY_BYTES) return key;
    const room = MAX_KEY_BYTES - Buffer.byteLength(this.prefix);
    const text = `${path.slice(0, 80)}… is too long: on this backend a path has at most ${room} bytes in UTF-8.`;
    throw new HoldfastError('invalid_path', text, {
      errors: [{ field: 'path', message: `a path has at most ${room} bytes in UTF-8 on this backend` }],
    });
  }
}
