import type { ServerResponse } from 'node:http';
import { TLSSocket } from 'node:tls';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import type { PacedStream } from '@holdfast/bytes/pacing/transfer-view';
import { isHoldfastError } from '@holdfast/contract/errors';
import type { OpenFile } from '@holdfast/storage/backend';
import type { Backends } from '../backends/backends.ts';
import type { Library } from '../library/library.ts';
import type { Transfers } from '../transfers/transfers.ts';
import type { Vault } from '../vault/vault.ts';
import { readWhole, sendBody } from './body.ts';
import { sendGrowing } from './growing-body.ts';
import { etagOf, mediaTypeOf, representationHeaders } from './headers.ts';
import type { FastLane } from './fast-lane.ts';
import { select, sendHead } from './selection.ts';
import { SMALL_FILE_BYTES } from './small-files.ts';
import { buffersFor } from './transfer-buffers.ts';

/** By whom something is asked for, and how the answer may be kept. */
interface ServeTerms {
  actor: string;
  cacheControl: string;
}

/** A file of a backend that is asked for. */
export interface ServeRequest extends ServeTerms {
  backendId: string;
  path: BackendPath;
  /** A Content-Disposition, for downloads by people. */
  disposition?: string;
  /** Small files may be answered from memory the next time this URL is asked for, by anyone who may boot. */
  keepSmall?: boolean;
}

/** A content that is asked for. */
export interface ServeContentRequest extends ServeTerms {
  sha256: string;
}

/** Bytes that are made while they are sent: nobody knows their length before. */
export interface ServeStreamRequest {
  actor: string;
  /** The backend that its transfer counts to. */
  backendId: string;
  /** What its transfer is called. */
  path: string;
  contentType: string;
  disposition: string;
  /** A failure cuts the connection before the end. */
  source: AsyncIterable<Uint8Array>;
}

/** What an answer is made from, wherever it came from. */
interface Served {
  file: OpenFile;
  sha256: string | null;
  backendId: string;
  /** What its transfer is called; the media type goes by it. */
  path: string;
  modifiedAt: Date;
}

/**
 * From (backend, path) or a SHA-256 to bytes on the wire: headers with the digest of exactly what is sent, preconditions and
 * ranges in RFC 9110's order, the body through two buffers.
 */
export class Serving {
  readonly #library: Library;
  readonly #backends: Backends;
  readonly #vault: Vault;
  readonly #transfers: Transfers;
  readonly #logger: Logger;
  readonly #fastLane: FastLane;
  #active = 0;

  constructor(options: {
    library: Library;
    backends: Backends;
    vault: Vault;
    transfers: Transfers;
    logger: Logger;
    fastLane: FastLane;
  }) {
    this.#library = options.library;
    this.#backends = options.backends;
    this.#vault = options.vault;
    this.#transfers = options.transfers;
    this.#logger = options.logger;
    this.#fastLane = options.fastLane;
  }

  /** Answers a GET or HEAD on the raw response. Errors before the head are thrown; later ones cut the connection. */
  async serve(request: FastifyRequest, reply: FastifyReply, wanted: ServeRequest): Promise<void> {
    const { file, sha256 } = await this.#library.open(wanted.backendId, wanted.path);
    await using opened = file;
    const { backendId, path } = wanted;
    const served = { file: opened, sha256, backendId, path, modifiedAt: opened.entry.modifiedAt };
    const headers = headersOf(served, wanted.cacheControl, wanted.disposition ?? null);
    if (wanted.keepSmall === true && sha256 !== null && opened.entry.size <= SMALL_FILE_BYTES) {
      await this.#keepSmall(request, wanted, opened, headers);
    }
    await this.#answer(request, reply, wanted.actor, served, headers);
  }

  /** The same for a content of the vault. @throws HoldfastError `content_not_found`, `backend_unavailable` */
  async serveContent(
    request: FastifyRequest,
    reply: FastifyReply,
    { sha256, actor, cacheControl }: ServeContentRequest,
  ): Promise<void> {
    const { file, backendId, createdAt } = await this.#vault.open(sha256);
    await using opened = file;
    const served = { file: opened, sha256, backendId, path: `sha256:${sha256}`, modifiedAt: createdAt };
    await this.#answer(request, reply, actor, served, headersOf(served, cacheControl, null));
  }

  /**
   * Answers a GET with bytes that are made while they are sent, paced like every transfer. A failure of the source cuts the
   * connection, so that nobody takes what came for the whole.
   */
  async serveStream(request: FastifyRequest, reply: FastifyReply, wanted: ServeStreamRequest): Promise<void> {
    reply.hijack();
    const raw = reply.raw;
    raw.writeHead(200, [
      'Content-Type',
      wanted.contentType,
      'Content-Disposition',
      wanted.disposition,
      'Cache-Control',
      'private, no-store',
      'X-Content-Type-Options',
      'nosniff',
      'X-Request-Id',
      request.id,
    ]);
    if (request.method === 'HEAD') {
      raw.end();
      return;
    }
    const { actor, backendId, path } = wanted;
    await this.#transfer(request, reply, { actor, backendId, path, size: null }, (stream) =>
      sendGrowing(raw, wanted.source, stream),
    );
  }

  /** Reads a small file into memory for the next requests of its URL. */
  async #keepSmall(
    request: FastifyRequest,
    wanted: ServeRequest,
    file: OpenFile,
    headers: readonly string[],
  ): Promise<void> {
    const { storage } = this.#backends.get(wanted.backendId);
    const { size } = file.entry;
    const bytes = await readWhole(file, { start: 0, end: size });
    const isFresh = storage.freshness?.(file.entry);
    if (isFresh === undefined) return; // replaced meanwhile: this answer is still right, the next one reads again
    const first = ['Content-Type', mediaTypeOf(wanted.path), 'Content-Length', String(size)];
    this.#fastLane.keep(request.raw.url ?? '', {
      backendId: wanted.backendId,
      path: wanted.path,
      isFresh,
      body: bytes.toString('latin1'),
      headers: [...first, ...headers, 'X-Request-Id', ''],
    });
  }

  async #answer(
    request: FastifyRequest,
    reply: FastifyReply,
    actor: string,
    { file, sha256, backendId, path, modifiedAt }: Served,
    headers: string[],
  ): Promise<void> {
    const selection = select(request, path, file.entry.size, etagOf(sha256), modifiedAt);
    reply.hijack();
    const raw = reply.raw;
    if (!sendHead(raw, request.id, selection, headers) || request.method === 'HEAD') {
      raw.end();
      return;
    }
    await this.#transfer(request, reply, { actor, backendId, path, size: file.entry.size }, (stream) =>
      sendBody(raw, file, selection, {
        buffers: buffersFor(this.#active++),
        stream,
        // A descriptor of this machine needs no second look; bytes that crossed a network do.
        verify: file.fd === undefined ? sha256 : null,
      }).finally(() => (this.#active -= 1)),
    );
  }

  /** Sends a body as one stream of a transfer; cuts the connection when that fails. */
  async #transfer(
    request: FastifyRequest,
    { raw }: FastifyReply,
    what: { actor: string; backendId: string; path: string; size: number | null },
    send: (stream: PacedStream) => Promise<void>,
  ): Promise<void> {
    const client = request.socket.remoteAddress ?? '';
    const stream = this.#transfers.open({ client, protocol: 'http', ...what });
    try {
      await send(stream);
      stream.close('complete');
    } catch (error) {
      // Only a cut connection tells the client that this is not all. To HTTP/1.0 a body of unknown length ends with it: a reset says so.
      if (what.size === null && request.raw.httpVersion === '1.0') reset(raw);
      else raw.destroy();
      const aborted = isHoldfastError(error, 'cancelled');
      stream.close(aborted ? 'aborted' : 'failed', error);
      if (aborted) return;
      this.#logger.error({ err: error, path: what.path, request_id: request.id }, 'the transfer was cut');
    }
  }
}

function headersOf(
  { path, sha256, modifiedAt }: Served,
  cacheControl: string,
  disposition: string | null,
): string[] {
  return representationHeaders({ path, sha256, modifiedAt, cacheControl, disposition });
}

/** TLS has no reset of its own: there the missing close_notify tells. */
function reset(raw: ServerResponse): void {
  if (raw.socket === null || raw.socket instanceof TLSSocket) raw.destroy();
  else raw.socket.resetAndDestroy();
}
