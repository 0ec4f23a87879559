import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { BufferPool } from '@holdfast/bytes/buffer-pool';
import { HoldfastError, isHoldfastError } from '@holdfast/contract/errors';
import { chunkReceived, uploadEndpoints } from '@holdfast/contract/uploads';
import type { ChunkSender, OutgoingChunk } from '../chunk-sender.ts';
import type { HubClient } from '../client.ts';
import { errorOfAnswer, parsedJson, unreachable } from '../problem-answer.ts';
import { requestTarget } from '../request-target.ts';
import { cancelledBy } from '../retry.ts';
import { type HttpConnections, httpConnections } from './http-agent.ts';

/** Bytes that are read, hashed and written at once. */
const PIECE_BYTES = 256 * 1024;
/** Characters of an answer; those of the hub are far shorter. */
const MOST_ANSWER = 64 * 1024;

export interface HttpChunkSenderOptions {
  client: Pick<HubClient, 'url' | 'headers'>;
  /** Must stay open until every `send` has settled. */
  handle: FileHandle;
  /** What is thrown when the file is shorter than it was, or cannot be read any more. */
  changed: (cause?: unknown) => HoldfastError;
}

/**
 * Sends chunks of an open file over connections of its own, piece by piece: memory is one piece for each chunk on its way, where
 * `fetch` would hold several copies of all of them. Each chunk is read twice, because its digest goes ahead of it. Dispose it to close
 * the connections.
 */
export class HttpChunkSender implements ChunkSender, Disposable {
  readonly #options: HttpChunkSenderOptions;
  readonly #pieces = new BufferPool({ bufferBytes: PIECE_BYTES, maxIdle: 16 });
  readonly #connections: HttpConnections;

  constructor(options: HttpChunkSenderOptions) {
    this.#options = options;
    this.#connections = httpConnections(options.client.url);
  }

  async send(chunk: OutgoingChunk): Promise<void> {
    const digest = await this.#digest(chunk);
    const patience = new AbortController();
    const timer = setTimeout(() => {
      patience.abort(new Error(`no answer within ${Math.round(chunk.timeoutMs / 1000)} s`));
    }, chunk.timeoutMs);
    try {
      await this.#sendOnce(chunk, digest, AbortSignal.any([chunk.signal, patience.signal]));
    } catch (error) {
      if (chunk.signal.aborted) throw cancelledBy(chunk.signal);
      if (isHoldfastError(error)) throw error;
      const cause: unknown = patience.signal.aborted ? patience.signal.reason : error;
      throw unreachable(this.#options.client.url, cause);
    } finally {
      clearTimeout(timer);
    }
  }

  [Symbol.dispose](): void {
    this.#connections.agent.destroy();
  }

  async #digest(chunk: OutgoingChunk): Promise<Buffer> {
    const hash = createHash('sha256');
    for await (const piece of this.#piecesOf(chunk)) hash.update(piece);
    return hash.digest();
  }

  async #sendOnce(chunk: OutgoingChunk, digest: Buffer, signal: AbortSignal): Promise<void> {
    const { client } = this.#options;
    const { method } = uploadEndpoints.putChunk;
    const params = { upload_id: chunk.uploadId, chunk_num: String(chunk.num) };
    const { agent, request: open } = this.#connections;
    const request = open(client.url + requestTarget(uploadEndpoints.putChunk, params), {
      method,
      signal,
      agent,
      headers: {
        ...client.headers,
        'content-type': 'application/octet-stream',
        'content-length': chunk.length,
        'content-digest': `sha-256=:${digest.toString('base64')}:`,
      },
    });
    try {
      const answer = answerTo(request);
      await this.#write(chunk, request, answer);
      request.end();
      await this.#requireReceived(await answer, digest);
    } finally {
      // An answer that came before all was sent leaves a connection that nothing else can use.
      if (!request.writableFinished) request.destroy();
    }
  }

  /** Writes the chunk, as far as the hub takes it: an answer that comes before the end is a refusal. */
  async #write(chunk: OutgoingChunk, request: ClientRequest, answer: Promise<unknown>): Promise<void> {
    let isAnswered = false;
    const answered = answer.then(() => {
      isAnswered = true;
    });
    // It may break before the first piece is read.
    answered.catch(() => undefined);
    for await (const piece of this.#piecesOf(chunk)) {
      await Promise.race([written(request, piece), answered]);
      if (isAnswered) return;
      chunk.onMoved(piece.byteLength);
    }
  }

  async #requireReceived(answer: IncomingMessage, digest: Buffer): Promise<void> {
    const { client } = this.#options;
    const text = await textOf(answer);
    const status = answer.statusCode ?? 0;
    if (status !== 200) {
      const type = answer.headers['content-type'];
      const headers = type === undefined ? {} : { 'content-type': type };
      throw await errorOfAnswer(new Response(text === '' ? null : text, { status, headers }), client.url);
    }
    const parsed = chunkReceived.safeParse(parsedJson(text));
    if (parsed.success && parsed.data.etag === digest.toString('hex')) return;
    throw new HoldfastError(
      'internal',
      `${client.url} did not answer a chunk with its checksum, as a hub does. Check that the URL leads to a hub, and the proxies on ` +
        'the way.',
      { cause: parsed.error },
    );
  }

  /** The bytes of a chunk. A piece is the caller's until it asks for the next; when it stops in between, nobody gets its memory. */
  async *#piecesOf({ position, length, signal }: OutgoingChunk): AsyncGenerator<Buffer, void, void> {
    const buffer = this.#pieces.take();
    for (let done = 0; done < length;) {
      if (signal.aborted) throw cancelledBy(signal);
      const wanted = Math.min(PIECE_BYTES, length - done);
      const bytesRead = await this.#read(buffer, wanted, position + done);
      if (bytesRead === 0) throw this.#options.changed();
      yield buffer.subarray(0, bytesRead);
      done += bytesRead;
    }
    this.#pieces.give(buffer);
  }

  async #read(buffer: Buffer, length: number, position: number): Promise<number> {
    try {
      return (await this.#options.handle.read(buffer, 0, length, position)).bytesRead;
    } catch (cause) {
      throw this.#options.changed(cause);
    }
  }
}

/** The answer to a request, which may come before the request has ended. Rejects when the connection breaks. */
function answerTo(request: ClientRequest): Promise<IncomingMessage> {
  const answer = new Promise<IncomingMessage>((resolve, reject) => {
    request.once('response', resolve);
    // It stays: a connection can break after it was answered, too.
    request.on('error', reject);
  });
  // It is awaited after the writing, which fails of the same.
  answer.catch(() => undefined);
  return answer;
}

/** Resolves when the system has taken the bytes, so that their memory can be used again. */
function written(request: ClientRequest, piece: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    request.write(piece, (error) => (error ? reject(error) : resolve()));
  });
}

async function textOf(answer: IncomingMessage): Promise<string> {
  answer.setEncoding('utf8');
  let text = '';
  const pieces: AsyncIterable<string> = answer;
  for await (const piece of pieces) {
    text += piece;
    if (text.length > MOST_ANSWER) throw new Error('the answer is too long for one of a hub');
  }
  return text;
}
