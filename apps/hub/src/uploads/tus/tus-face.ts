import type { IncomingHttpHeaders } from 'node:http';
import { HoldfastError } from '@holdfast/contract/errors';
import type { Principal } from '../../access/access.ts';
import type { Upload, Uploads } from '../uploads.ts';
import {
  byteHeader,
  checksumHeader,
  concatHeader,
  lengthOfNew,
  requiredByteHeader,
  requireMediaType,
} from './request-headers.ts';
import { describeFile, parseMetadata } from './upload-metadata.ts';

/** A path for the parts of a concatenation, whose clients seldom name one. */
const PARTIAL_PATH = 'partial';

/** The body of a request, with its length when the client says so. */
export interface TusBody {
  source: AsyncIterable<Uint8Array>;
  length: number | undefined;
  signal: AbortSignal;
}

/** What an answer tells in headers. */
export interface TusAnswer {
  headers: Record<string, string>;
}

/** tus 1.0 in the terms of the session engine. Each method is one request; refusals are thrown. */
export class TusFace {
  readonly #uploads: Uploads;

  constructor(uploads: Uploads) {
    this.#uploads = uploads;
  }

  /** POST: a new upload, a part of one, or one that is put together from parts. */
  async create(
    principal: Principal,
    headers: IncomingHttpHeaders,
    body: TusBody,
  ): Promise<TusAnswer & { id: string }> {
    const concat = concatHeader(headers);
    const metadata = parseMetadata(one(headers['upload-metadata']));
    const kept = keptHeaders(headers);
    if (concat?.kind === 'final') {
      const file = describeFile(metadata);
      const upload = await this.#uploads.concatenate(
        principal,
        { ...file, metadata: kept },
        concat.uploadIds,
        {
          signal: body.signal,
        },
      );
      await this.#uploads.complete(principal, upload.id);
      return { id: upload.id, headers: { location: locationOf(upload.id) } };
    }
    const isPartial = concat?.kind === 'partial';
    const size = lengthOfNew(headers);
    const file = describeFile(isPartial ? withPath(metadata) : metadata);
    const hasBody = body.length === undefined ? headers['transfer-encoding'] !== undefined : body.length > 0;
    if (hasBody) requireMediaType(headers);
    const checksum = hasBody ? checksumHeader(headers) : undefined;
    const begun = await this.#uploads.begin(principal, {
      ...file,
      protocol: 'tus',
      size,
      chunkSize: null,
      isPartial,
      metadata: kept,
      deduplicate: false, // the client will send its bytes whatever is answered
    });
    if (begun.kind === 'deduplicated') throw new HoldfastError('internal', 'A tus upload was not begun.');
    const { id, expiresAt } = begun.session;
    const answer: Record<string, string> = {
      location: locationOf(id),
      'upload-expires': expiresAt.toUTCString(),
    };
    if (hasBody) {
      const { offset, expiresAt: later } = await this.#append(principal, id, 0, { ...body, checksum });
      answer['upload-offset'] = String(offset);
      answer['upload-expires'] = later.toUTCString();
    } else if (size === 0 && !isPartial) await this.#uploads.complete(principal, id);
    return { id, headers: answer };
  }

  /** HEAD: how far the upload is. What has all its bytes is completed first, if a crash or a lost answer left that undone. */
  async head(principal: Principal, id: string): Promise<TusAnswer> {
    let upload = await this.#session(principal, id);
    if (hasAll(upload) && upload.status !== 'completed' && !upload.isPartial) {
      await this.#uploads.complete(principal, id);
      upload = await this.#session(principal, id);
    }
    const headers: Record<string, string> = { 'cache-control': 'no-store' };
    if (upload.size === null) headers['upload-defer-length'] = '1';
    else headers['upload-length'] = String(upload.size);
    headers['upload-offset'] = String(upload.receivedBytes);
    if (upload.status !== 'completed') headers['upload-expires'] = upload.expiresAt.toUTCString();
    for (const name of ['Upload-Metadata', 'Upload-Concat']) {
      const value = upload.metadata?.[name];
      if (typeof value === 'string') headers[name.toLowerCase()] = value;
    }
    return { headers };
  }

  /** PATCH: bytes from an offset on. The last ones complete the upload before they are answered. */
  async patch(
    principal: Principal,
    id: string,
    headers: IncomingHttpHeaders,
    body: TusBody,
  ): Promise<TusAnswer> {
    requireMediaType(headers);
    const offset = requiredByteHeader(headers, 'Upload-Offset');
    const size = byteHeader(headers, 'Upload-Length');
    const checksum = checksumHeader(headers);
    const upload = await this.#session(principal, id);
    const concat = upload.metadata?.['Upload-Concat'];
    if (typeof concat === 'string' && concat.startsWith('final'))
      throw new HoldfastError(
        'forbidden',
        'An upload that was put together from parts takes no bytes of its own.',
      );
    if (upload.status === 'completed' && offset === upload.receivedBytes && body.length === 0)
      return { headers: { 'upload-offset': String(offset) } };
    if (size !== undefined) await this.#uploads.declareSize(principal, id, size);
    const appended = await this.#append(principal, id, offset, { ...body, checksum });
    return {
      headers: {
        'upload-offset': String(appended.offset),
        'upload-expires': appended.expiresAt.toUTCString(),
      },
    };
  }

  /** DELETE. */
  async remove(principal: Principal, id: string): Promise<void> {
    await this.#session(principal, id);
    await this.#uploads.abort(principal, id);
  }

  async #append(
    principal: Principal,
    id: string,
    offset: number,
    body: TusBody & { checksum: ReturnType<typeof checksumHeader> },
  ): Promise<{ offset: number; expiresAt: Date }> {
    const { source, length, signal, checksum } = body;
    const appended = await this.#uploads.append(principal, id, offset, source, { length, checksum, signal });
    if (appended.complete && appended.offset === appended.size) {
      const { isPartial } = await this.#session(principal, id);
      if (!isPartial) await this.#uploads.complete(principal, id);
    }
    return appended;
  }

  /** A tus upload of the caller. What was given up or has failed is gone for good. */
  async #session(principal: Principal, id: string): Promise<Upload> {
    const upload = await this.#uploads.session(principal, id);
    if (upload.protocol !== 'tus')
      throw new HoldfastError('upload_not_found', `There is no tus upload with the id ${id}.`);
    if (upload.status === 'aborted' || upload.status === 'failed')
      throw new HoldfastError(
        'upload_expired',
        upload.errorDetail ?? 'This upload was given up. Begin a new one.',
      );
    return upload;
  }
}

/** The path of an upload on this server; a client joins it with the address that it knows, so that a proxy does no harm. */
function locationOf(id: string): string {
  return `/api/tus/${id}`;
}

function hasAll({ size, receivedBytes }: Upload): boolean {
  return size !== null && receivedBytes === size;
}

/** What HEAD has to tell again, as it was sent. */
function keptHeaders(headers: IncomingHttpHeaders): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const name of ['Upload-Metadata', 'Upload-Concat']) {
    const value = one(headers[name.toLowerCase()]);
    if (value !== undefined && value !== '') kept[name] = value;
  }
  return kept;
}

function withPath(metadata: Map<string, string>): Map<string, string> {
  return ['filepath', 'relativePath', 'filename', 'name'].some((key) => metadata.has(key))
    ? metadata
    : new Map([...metadata, ['filepath', PARTIAL_PATH]]);
}

function one(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(',') : value;
}
