import {
  batchMediaType,
  batchResult,
  type BatchResult,
  chunkReceived,
  type ChunkReceived,
  uploadCompleted,
  type UploadCompleted,
  uploadStarted,
} from '@holdfast/contract/uploads';
import { Connections } from './connections.ts';
import type { HubUnderTest } from './hub.ts';

export interface UploadPlan {
  filepath: string;
  /** Bytes. */
  size: number;
  chunkSize: number;
  /** Of the whole, lower-case hex, when it is known before. */
  sha256?: string;
}

/** The upload endpoints of a hub over a number of open connections. Each call throws unless it succeeds. */
export class HubUploads implements Disposable {
  readonly #connections: Connections;

  constructor(hub: Pick<HubUnderTest, 'url' | 'adminKey'>, connections: number) {
    this.#connections = new Connections(hub.url, connections, { authorization: `Bearer ${hub.adminKey}` });
  }

  /** Begins an upload of content that the hub does not have; resolves to the session's id. */
  async begin({ filepath, size, chunkSize, sha256 }: UploadPlan): Promise<string> {
    const initiate = {
      filepath,
      hostname: 'uploader',
      file_size: size,
      chunk_size: chunkSize,
      total_chunks: Math.ceil(size / chunkSize),
      sha256,
    };
    const answer = await this.#sendJson('/api/uploads/initiate', initiate, 201);
    return uploadStarted.parse(answer).upload_id;
  }

  /** Sends a chunk, whose bytes are those of the parts in order. */
  async sendChunk(id: string, num: number, body: readonly Uint8Array[]): Promise<ChunkReceived> {
    const headers = { 'content-type': 'application/octet-stream' };
    const answer = await this.#connections.call('PUT', `/api/uploads/${id}/chunk/${num}`, { headers, body });
    return chunkReceived.parse(JSON.parse(answer.body));
  }

  async complete(id: string): Promise<UploadCompleted> {
    return uploadCompleted.parse(await this.#sendJson(`/api/uploads/${id}/complete`, {}, 200));
  }

  /** Sends files that are framed already. */
  async sendBatch(body: readonly Uint8Array[]): Promise<BatchResult> {
    const headers = { 'content-type': batchMediaType };
    const answer = await this.#connections.call('POST', '/api/uploads/batch', { headers, body });
    return batchResult.parse(JSON.parse(answer.body));
  }

  /** Closes the connections. */
  [Symbol.dispose](): void {
    this.#connections[Symbol.dispose]();
  }

  async #sendJson(path: string, value: object, expect: number): Promise<unknown> {
    const headers = { 'content-type': 'application/json' };
    const body = [Buffer.from(JSON.stringify(value))];
    const answer = await this.#connections.call('POST', path, { headers, body, expect });
    return JSON.parse(answer.body);
  }
}
