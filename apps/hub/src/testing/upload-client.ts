import { once } from 'node:events';
import { request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import { sha256Hex } from '@holdfast/bytes/sha256';
import { endpoints } from '@holdfast/contract/endpoints';
import {
  chunkReceived,
  uploadCompleted,
  type ChunkReceived,
  type Upload,
  type UploadCompleted,
  type UploadDeduplicated,
  type UploadStarted,
} from '@holdfast/contract/uploads';
import { ADMIN_KEY, problemOf, targetOf, type TestHub } from './test-hub.ts';

/** A file to upload, and where from. */
export interface SampleFile {
  bytes: Buffer<ArrayBuffer>;
  sha256: string;
  filepath: string;
  hostname: string;
}

/** Bytes that no other sample has, unless a seed makes them so. */
export function sampleFile(
  size: number,
  overrides: Partial<SampleFile> & { seed?: string } = {},
): SampleFile {
  const { seed = crypto.randomUUID(), ...rest } = overrides;
  const bytes = rest.bytes ?? Buffer.alloc(size, seed);
  return {
    bytes,
    sha256: sha256Hex(bytes),
    filepath: `/home/ada/${seed}`,
    hostname: 'build-7',
    ...rest,
  };
}

/** How a test speaks the chunk API to a hub, with one key. */
export class UploadClient {
  readonly hub: TestHub;
  readonly key: string;

  constructor(hub: TestHub, key: string = ADMIN_KEY) {
    this.hub = hub;
    this.key = key;
  }

  /** What `initiate` takes for a file. */
  body(file: SampleFile, chunkSize: number, fields: Record<string, unknown> = {}): Record<string, unknown> {
    return {
      filepath: file.filepath,
      hostname: file.hostname,
      sha256: file.sha256,
      file_size: file.bytes.length,
      chunk_size: chunkSize,
      total_chunks: Math.ceil(file.bytes.length / chunkSize),
      ...fields,
    };
  }

  /** Begins an upload that is needed. */
  async initiate(
    file: SampleFile,
    chunkSize: number,
    fields: Record<string, unknown> = {},
  ): Promise<UploadStarted> {
    const begun = await this.begin(file, chunkSize, fields);
    if (begun.deduplicated) throw new Error('The hub has the content already.');
    return begun;
  }

  begin(
    file: SampleFile,
    chunkSize: number,
    fields: Record<string, unknown> = {},
  ): Promise<UploadStarted | UploadDeduplicated> {
    const body = this.body(file, chunkSize, fields);
    return this.hub.call(endpoints.initiateUpload, { body, key: this.key });
  }

  /** Sends one chunk. */
  put(
    id: string,
    num: number,
    bytes: Uint8Array<ArrayBuffer>,
    headers: Record<string, string> = {},
  ): Promise<Response> {
    return this.hub.request(this.#chunkTarget(id, num), {
      method: 'PUT',
      body: bytes,
      headers,
      key: this.key,
    });
  }

  /** Sends one chunk that is acknowledged. */
  async send(id: string, num: number, bytes: Uint8Array<ArrayBuffer>): Promise<ChunkReceived> {
    const answer = await this.put(id, num, bytes);
    if (!answer.ok) throw new Error(`Chunk ${num} was answered ${answer.status}: ${await answer.text()}`);
    return chunkReceived.parse(await answer.json());
  }

  status(id: string): Promise<Upload> {
    return this.hub.call(endpoints.getUpload, { params: { upload_id: id }, key: this.key });
  }

  complete(id: string, body: Record<string, unknown> = {}): Promise<Response> {
    return this.hub.response(endpoints.completeUpload, { params: { upload_id: id }, body, key: this.key });
  }

  /** Completes an upload that becomes a host file. */
  async completed(
    id: string,
    body: Record<string, unknown> = {},
  ): Promise<UploadCompleted & { file_id: string }> {
    const { file_id, ...rest } = await this.ended(id, body);
    if (file_id === null) throw new Error(`The upload ${id} became no host file.`);
    return { ...rest, file_id };
  }

  /** Completes an upload, wherever it ends. */
  async ended(id: string, body: Record<string, unknown> = {}): Promise<UploadCompleted> {
    const answer = await this.complete(id, body);
    if (!answer.ok) throw new Error(`complete was answered ${answer.status}: ${await answer.text()}`);
    return uploadCompleted.parse(await answer.json());
  }

  abort(id: string): Promise<Response> {
    return this.hub.response(endpoints.abortUpload, { params: { upload_id: id }, key: this.key });
  }

  /** Uploads a whole file. */
  async upload(
    file: SampleFile,
    chunkSize = 1024 * 1024,
    fields: Record<string, unknown> = {},
  ): Promise<UploadCompleted & { file_id: string }> {
    const { upload_id, total_chunks } = await this.initiate(file, chunkSize, fields);
    for (let num = 0; num < total_chunks; num += 1)
      await this.send(upload_id, num, chunkOf(file, chunkSize, num));
    return this.completed(upload_id);
  }

  /** The bytes that the hub hands out for a content. */
  async content(sha256: string): Promise<Buffer> {
    const answer = await this.hub.response(endpoints.downloadContent, { params: { sha256 }, key: this.key });
    if (!answer.ok) throw new Error(`the content was answered ${answer.status}: ${await answer.text()}`);
    return Buffer.from(await answer.arrayBuffer());
  }

  /**
   * Begins to send a chunk and resolves once the hub reads its body, which it does when the chunk is this connection's. The
   * body is then in the hands of the test.
   */
  async hold(id: string, num: number, length: number): Promise<HeldChunk> {
    const request = this.#open(id, num, { 'content-length': String(length), expect: '100-continue' });
    request.flushHeaders();
    await once(request, 'continue');
    return heldChunk(request);
  }

  /** Asks to send a chunk and resolves to what comes first: `continue`, or the answer that refuses it. */
  async ask(id: string, num: number, headers: Record<string, string>): Promise<'continue' | Response> {
    const request = this.#open(id, num, { ...headers, expect: '100-continue' });
    request.flushHeaders();
    const first = await Promise.race([
      once(request, 'continue').then(() => 'continue' as const),
      responseTo(request),
    ]);
    request.on('error', () => undefined); // what becomes of it is nobody's concern any more
    request.destroy();
    return first;
  }

  #open(id: string, num: number, headers: Record<string, string>): ClientRequest {
    return httpRequest(this.hub.url + this.#chunkTarget(id, num), {
      method: 'PUT',
      agent: false,
      headers: { authorization: `Bearer ${this.key}`, ...headers },
    });
  }

  #chunkTarget(id: string, num: number): string {
    return targetOf(endpoints.putChunk, { upload_id: id, chunk_num: String(num) });
  }
}

/** A chunk whose body the test sends by hand. */
export interface HeldChunk {
  /** Resolves when the bytes have left this process. */
  write(bytes: Uint8Array): Promise<void>;
  /** Sends the rest; resolves to the answer. */
  end(bytes?: Uint8Array): Promise<Response>;
  /** The answer, when it comes before the end of the body. */
  answer(): Promise<Response>;
  /** Goes away without a word. */
  vanish(): Promise<void>;
}

function heldChunk(request: ClientRequest): HeldChunk {
  const answered = responseTo(request);
  answered.catch(() => undefined); // told to whoever asks for it
  return {
    write: (bytes) =>
      new Promise((resolve, reject) => {
        request.write(bytes, (error) => (error instanceof Error ? reject(error) : resolve()));
      }),
    end(bytes) {
      request.end(bytes);
      return answered;
    },
    answer: () => answered,
    async vanish() {
      request.on('error', () => undefined);
      if (request.closed) return;
      const closed = new Promise<void>((resolve) => request.once('close', resolve));
      request.destroy();
      await closed;
    },
  };
}

async function responseTo(request: ClientRequest): Promise<Response> {
  const message = await new Promise<IncomingMessage>((resolve, reject) => {
    request.once('response', resolve);
    request.once('error', reject);
  });
  const chunks: Buffer[] = [];
  for await (const chunk of message) if (Buffer.isBuffer(chunk)) chunks.push(chunk);
  const headers = new Headers();
  for (const [name, value] of Object.entries(message.headers))
    if (typeof value === 'string') headers.set(name, value);
  return new Response(Buffer.concat(chunks), { status: message.statusCode ?? 0, headers });
}

/** The bytes of one chunk of a file. */
export function chunkOf(file: SampleFile, chunkSize: number, num: number): Buffer<ArrayBuffer> {
  return file.bytes.subarray(num * chunkSize, (num + 1) * chunkSize);
}

/** The status and code of a refusal, and the fields it names. */
export async function refusalOf(
  answer: Response | Promise<Response>,
): Promise<{ status: number; code: string; fields: string[] }> {
  const { status, code, errors = [] } = await problemOf(await answer);
  return { status, code, fields: errors.map(({ field }) => field) };
}
