import type { Catalog } from './catalog.ts';
import type { DeletionNotice, HostFile, NewHostFile } from './host-files.ts';
import type { NewApiKey } from './keys.ts';
import type { NewUpload, Upload } from './uploads.ts';

/** A digest that stands for some bytes. */
export function digest(name: string | number): string {
  return Buffer.from(String(name)).toString('hex').padStart(64, '0');
}

let keys = 0;

/** A backend and a key, and shapes of what they take in. */
export class UploadFixture {
  readonly catalog: Catalog;
  readonly backendId: string;
  readonly keyId: string;

  constructor(catalog: Catalog, backendId: string, keyId: string) {
    this.catalog = catalog;
    this.backendId = backendId;
    this.keyId = keyId;
  }

  static async make(catalog: Catalog, limits: Partial<NewApiKey> = {}): Promise<UploadFixture> {
    const known = (await catalog.backends.list())[0];
    const backend = known ?? (await catalog.backends.insert({ name: 'main', type: 'local', config: {} }));
    return new UploadFixture(catalog, backend.id, await newKey(catalog, limits));
  }

  upload(changes: Partial<NewUpload> = {}): NewUpload {
    return {
      protocol: 'chunks',
      keyId: this.keyId,
      actor: 'agent',
      hostname: 'alpha',
      filepath: '/plan.txt',
      backendId: this.backendId,
      size: 100,
      chunkSize: 10,
      totalChunks: 10,
      expiresAt: new Date(10_000),
      ...changes,
    };
  }

  file(changes: Partial<NewHostFile> = {}): NewHostFile {
    return {
      hostname: 'alpha',
      filepath: '/plan.txt',
      sha256: digest('a'),
      mtime: null,
      mode: null,
      keyId: this.keyId,
      actor: 'agent',
      content: { size: 100, backendId: this.backendId, published: true },
      ...changes,
    };
  }

  /** Records a file, which has to succeed. */
  async record(changes: Partial<NewHostFile> = {}, at = 1_000): Promise<HostFile> {
    const answer = await this.catalog.hostFiles.record(this.file(changes), new Date(at));
    if (answer.kind !== 'recorded') throw new Error(`The file was not recorded: ${answer.kind}.`);
    return answer.file;
  }

  /** A session that waits for its finish. */
  async completing(sha256: string, changes: Partial<NewUpload> = {}): Promise<Upload> {
    const { id } = await this.catalog.uploads.insert(this.upload(changes));
    const upload = await this.catalog.uploads.transition(id, ['initiated'], 'completing', { sha256 });
    if (upload === null) throw new Error(`The session ${id} is not there.`);
    return upload;
  }
}

/** The notice that a file is gone on its machine. */
export function noticeOf({ hostname, filepath, sha256 }: HostFile): DeletionNotice {
  return { hostname, filepath, sha256 };
}

export async function newKey(catalog: Catalog, limits: Partial<NewApiKey> = {}): Promise<string> {
  keys += 1;
  const { id } = await catalog.keys.insert({
    name: `agent ${keys}`,
    hash: `hash-${keys}`,
    hint: 'abcd',
    scopes: ['files:write'],
    origin: 'issued',
    ...limits,
  });
  return id;
}
