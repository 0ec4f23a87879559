import type { FileHandle } from 'node:fs/promises';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { sendRange } from '@holdfast/bytes/send-range';
import { HoldfastError, isHoldfastError } from '@holdfast/contract/errors';
import { chunkReceived, uploadEndpoints } from '@holdfast/contract/uploads';
import type { ChunkSender, OutgoingChunk } from '../chunk-sender.ts';
import type { HubClient } from '../client.ts';
import { sha256OfHex } from '../digest.ts';
import { parsedJson, unreachable } from '../problem-answer.ts';
import { requestTarget } from '../request-target.ts';
import { cancelledBy } from '../retry.ts';
import { changed } from '../upload-source.ts';
import { type HttpConnections, httpConnections } from './http-agent.ts';
import { refusalOf, textOf } from './http-answer.ts';
import type { LocalFileSource } from './local-file.ts';

export interface HttpChunkSenderOptions {
  client: Pick<HubClient, 'url' | 'headers'>;
  /** Must stay open until every `send` has settled. */
  handle: FileHandle;
  /** The same file. */
  source: Pick<LocalFileSource, 'name' | 'sha256Of'>;
}

/**
 * Sends chunks of an open file over connections of its own, piece by piece: memory is two buffers for each chunk on its way, where
 * `fetch` would hold several copies of all of them. Each chunk is read twice, because its digest goes ahead of it. Dispose it to close
 * the connections.
 */
export class HttpChunkSender implements ChunkSender, Disposable {
  readonly #options: HttpChunkSenderOptions;
  readonly #connections: HttpConnections;

  constructor(options: HttpChunkSenderOptions) {
    this.#options = options;
    this.#connections = httpConnections(options.client.url);
  }

  async send(chunk: OutgoingChunk): Promise<string> {
    const { position, length } = chunk;
    const sha256 =
      chunk.sha256 ?? (await this.#options.source.sha256Of(position, position + length, chunk.signal));
    const patience = new AbortController();
    const timer = setTimeout(() => {
      patience.abort(new Error(`no answer within ${Math.round(chunk.timeoutMs / 1000)} s`));
    }, chunk.timeoutMs);
    try {
      await this.#sendOnce(chunk, sha256, AbortSignal.any([chunk.signal, patience.signal]));
      return sha256;
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

  async #sendOnce(chunk: OutgoingChunk, sha256: string, signal: AbortSignal): Promise<void> {
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
        'content-digest': `sha-256=:${sha256OfHex(sha256).base64}:`,
      },
    });
    try {
      const answer = answerTo(request);
      await this.#write(chunk, request, answer);
      request.end();
      await this.#requireReceived(await answer, sha256);
    } finally {
      // An answer that came before all was sent leaves a connection that nothing else can use.
      if (!request.writableFinished) request.destroy();
    }
  }

  /** Writes the chunk, as far as the hub takes it: an answer that comes before the end is a refusal. */
  async #write(chunk: OutgoingChunk, request: ClientRequest, answer: Promise<unknown>): Promise<void> {
    const { source, handle } = this.#options;
    const answered = new AbortController();
    answer.then(
      () => answered.abort(),
      () => undefined,
    );
    try {
      await sendRange({
        readInto: async (buffer, position) =>
          (await handle.read(buffer, 0, buffer.byteLength, position)).bytesRead,
        range: { start: chunk.position, end: chunk.position + chunk.length },
        to: request,
        signal: answered.signal,
        onBytes: chunk.onMoved,
      });
    } catch (error) {
      if (isHoldfastError(error, 'backend_unavailable')) throw changed(source, error.cause);
      // It ends early because of the answer, or of what the answer is rejected with.
      if (!isHoldfastError(error, 'cancelled')) throw error;
    }
  }

  async #requireReceived(answer: IncomingMessage, sha256: string): Promise<void> {
    const { client } = this.#options;
    if (answer.statusCode !== 200) throw await refusalOf(answer, client.url);
    const parsed = chunkReceived.safeParse(parsedJson(await textOf(answer)));
    if (parsed.success && parsed.data.etag === sha256) return;
    throw new HoldfastError(
      'internal',
      `${client.url} did not answer a chunk with its checksum, as a hub does. Check that the URL leads to a hub, and the proxies on ` +
        'the way.',
      { cause: parsed.error },
    );
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
