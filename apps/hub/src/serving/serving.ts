import type { ServerResponse } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import { planByteranges, randomBoundary } from '@holdfast/bytes/byteranges';
import { evaluateConditions } from '@holdfast/bytes/conditional';
import {
  contentRange,
  parseRangeHeader,
  unsatisfiedContentRange,
  type ByteRange,
} from '@holdfast/bytes/ranges';
import { HoldfastError, isHoldfastError } from '@holdfast/contract/errors';
import type { OpenFile } from '@holdfast/storage/backend';
import type { Backends } from '../backends/backends.ts';
import type { Library } from '../library/library.ts';
import type { Transfers } from '../transfers/transfers.ts';
import { readWhole, sendBody } from './body.ts';
import { etagOf, mediaTypeOf, representationHeaders } from './headers.ts';
import type { FastLane } from './fast-lane.ts';
import { SMALL_FILE_BYTES } from './small-files.ts';
import { buffersFor } from './transfer-buffers.ts';

/** What is asked for, by whom, and how the answer may be kept. */
export interface ServeRequest {
  backendId: string;
  path: BackendPath;
  actor: string;
  cacheControl: string;
  /** A Content-Disposition, for downloads by people. */
  disposition?: string;
  /** Small files may be answered from memory the next time this URL is asked for, by anyone who may boot. */
  keepSmall?: boolean;
}

/** What is sent of a file: one piece of it, or several framed as multipart/byteranges. */
interface Selection {
  status: 200 | 206;
  contentType: string;
  contentLength: number;
  extraHeaders: string[];
  parts: { header?: Uint8Array; range: ByteRange }[];
  trailer?: Uint8Array;
}

/**
 * From (backend, path) to bytes on the wire: headers with the digest of exactly what is sent, preconditions and
 * ranges in RFC 9110's order, the body through two buffers.
 */
export class Serving {
  readonly #library: Library;
  readonly #backends: Backends;
  readonly #transfers: Transfers;
  readonly #logger: Logger;
  readonly #fastLane: FastLane;
  #active = 0;

  constructor(options: {
    library: Library;
    backends: Backends;
    transfers: Transfers;
    logger: Logger;
    fastLane: FastLane;
  }) {
    this.#library = options.library;
    this.#backends = options.backends;
    this.#transfers = options.transfers;
    this.#logger = options.logger;
    this.#fastLane = options.fastLane;
  }

  /** Answers a GET or HEAD on the raw response. Errors before the head are thrown; later ones cut the connection. */
  async serve(request: FastifyRequest, reply: FastifyReply, wanted: ServeRequest): Promise<void> {
    const { file, sha256 } = await this.#library.open(wanted.backendId, wanted.path);
    await using opened = file;
    const facts = {
      path: wanted.path,
      sha256,
      modifiedAt: opened.entry.modifiedAt,
      cacheControl: wanted.cacheControl,
      disposition: wanted.disposition ?? null,
    };
    const headers = representationHeaders(facts);
    if (wanted.keepSmall === true && sha256 !== null && opened.entry.size <= SMALL_FILE_BYTES) {
      await this.#keepSmall(request, wanted, opened, headers);
    }
    await this.#answer(request, reply, wanted, opened, sha256, headers);
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
    wanted: ServeRequest,
    file: OpenFile,
    sha256: string | null,
    headers: string[],
  ): Promise<void> {
    const selection = select(request, wanted.path, file.entry.size, etagOf(sha256), file.entry.modifiedAt);
    const client = request.socket.remoteAddress ?? '';
    reply.hijack();
    const raw = reply.raw;
    if (!sendHead(raw, request.id, selection, headers) || request.method === 'HEAD') {
      raw.end();
      return;
    }
    const stream = this.#transfers.open({
      client,
      actor: wanted.actor,
      backendId: wanted.backendId,
      path: wanted.path,
      protocol: 'http',
      size: file.entry.size,
    });
    try {
      await sendBody(raw, file, selection, {
        buffers: buffersFor(this.#active++),
        stream,
        // A descriptor of this machine needs no second look; bytes that crossed a network do.
        verify: file.fd === undefined ? sha256 : null,
      });
      stream.close('complete');
    } catch (error) {
      raw.destroy(); // the length was promised: only a cut connection tells the client that this is not all
      const aborted = isHoldfastError(error, 'cancelled');
      stream.close(aborted ? 'aborted' : 'failed', error);
      if (aborted) return;
      this.#logger.error({ err: error, path: wanted.path, request_id: request.id }, 'the transfer was cut');
    } finally {
      this.#active -= 1;
    }
  }
}

type Refusal = { status: 304 } | { status: 416; size: number };

/** Preconditions, then ranges: what is to be sent. @throws HoldfastError `precondition_failed` */
function select(
  request: FastifyRequest,
  path: string,
  size: number,
  etag: string | undefined,
  lastModified: Date,
): Selection | (Refusal & { parts: never[]; trailer?: undefined }) {
  const { headers } = request.raw;
  const outcome = evaluateConditions({ method: request.method, headers, etag, lastModified });
  if (outcome === 'precondition-failed') {
    throw new HoldfastError(
      'precondition_failed',
      `${path} is no longer the version that the request is for.`,
    );
  }
  if (outcome === 'not-modified') return { status: 304, parts: [] };
  // RFC 9110 §14.2: a Range is defined for GET alone
  const ranged = request.method === 'GET' && outcome === 'proceed';
  const asked = parseRangeHeader(ranged ? headers.range : undefined, size);
  const contentType = mediaTypeOf(path);
  if (asked.kind === 'unsatisfiable') return { status: 416, size, parts: [] };
  if (asked.kind === 'all') {
    return {
      status: 200,
      contentType,
      contentLength: size,
      extraHeaders: [],
      parts: [{ range: { start: 0, end: size } }],
    };
  }
  const [first] = asked.ranges;
  if (asked.ranges.length === 1 && first !== undefined) {
    return {
      status: 206,
      contentType,
      contentLength: first.end - first.start,
      extraHeaders: ['Content-Range', contentRange(first, size)],
      parts: [{ range: first }],
    };
  }
  const plan = planByteranges(asked.ranges, size, contentType, randomBoundary());
  return {
    status: 206,
    contentType: plan.contentType,
    contentLength: plan.contentLength,
    extraHeaders: [],
    parts: plan.parts,
    trailer: plan.trailer,
  };
}

/** Writes the head. @returns whether a body follows */
function sendHead(
  raw: ServerResponse,
  requestId: string,
  selection: ReturnType<typeof select>,
  representation: readonly string[],
): boolean {
  const id = ['X-Request-Id', requestId];
  if (selection.status === 304) {
    raw.writeHead(304, [...representation, ...id]);
    return false;
  }
  if (selection.status === 416) {
    raw.writeHead(416, [
      'Content-Range',
      unsatisfiedContentRange(selection.size),
      'Content-Length',
      '0',
      ...id,
    ]);
    return false;
  }
  raw.writeHead(selection.status, [
    'Content-Type',
    selection.contentType,
    'Content-Length',
    String(selection.contentLength),
    ...selection.extraHeaders,
    ...representation,
    ...id,
  ]);
  return true;
}
