import { createHash } from 'node:crypto';
import { hostFileList, type HostFileList } from '@holdfast/contract/host-files';
import {
  batchMediaType,
  batchResult,
  chunkReceived,
  upload,
  uploadCompleted,
  uploadStarted,
  type BatchResult,
  type Upload,
  type UploadCompleted,
} from '@holdfast/contract/uploads';
import type { z } from 'zod';
import type { HubUnderTest } from './hub.ts';
import { json } from './hub-storage.ts';

/** A file of a machine, small enough to be held in memory, and how it is cut. */
export class ChunkedFile {
  readonly hostname = 'build-7';
  readonly filepath: string;
  readonly bytes: Buffer<ArrayBuffer>;
  readonly sha256: string;
  /** Bytes of each chunk but the last. */
  readonly chunkSize: number;

  /** @param seed makes the bytes and the path; another one, other bytes */
  constructor(seed: string, size: number, chunkSize: number) {
    this.filepath = `/home/ada/${seed}`;
    this.bytes = Buffer.alloc(size, `${seed}\n`);
    this.sha256 = createHash('sha256').update(this.bytes).digest('hex');
    this.chunkSize = chunkSize;
  }

  get chunks(): number {
    return Math.ceil(this.bytes.length / this.chunkSize);
  }

  chunk(num: number): Buffer<ArrayBuffer> {
    return this.bytes.subarray(num * this.chunkSize, (num + 1) * this.chunkSize);
  }
}

/** Begins an upload; the answer, whatever its status. */
export function askToUpload(hub: HubUnderTest, file: ChunkedFile, backendId?: string): Promise<Response> {
  return hub.api(
    '/api/uploads/initiate',
    json('POST', {
      filepath: file.filepath,
      hostname: file.hostname,
      sha256: file.sha256,
      file_size: file.bytes.length,
      chunk_size: file.chunkSize,
      total_chunks: file.chunks,
      ...(backendId === undefined ? {} : { backend_id: backendId }),
    }),
  );
}

/** Begins an upload and resolves to its id. Throws when the hub refuses, or has the content already. */
export async function beginUpload(hub: HubUnderTest, file: ChunkedFile, backendId?: string): Promise<string> {
  return (await parsed(uploadStarted, askToUpload(hub, file, backendId))).upload_id;
}

/** Sends a chunk; the answer, whatever its status. */
export function offerChunk(hub: HubUnderTest, id: string, file: ChunkedFile, num: number): Promise<Response> {
  return hub.api(`/api/uploads/${id}/chunk/${num}`, {
    method: 'PUT',
    headers: { 'content-type': 'application/octet-stream' },
    body: file.chunk(num),
  });
}

/** Sends a chunk. Throws unless it is acknowledged with its own digest. */
export async function sendChunk(
  hub: HubUnderTest,
  id: string,
  file: ChunkedFile,
  num: number,
): Promise<void> {
  const { etag } = await parsed(chunkReceived, offerChunk(hub, id, file, num));
  const sha256 = createHash('sha256').update(file.chunk(num)).digest('hex');
  if (etag !== sha256) throw new Error(`The hub acknowledged other bytes for chunk ${num}.`);
}

/** Asks to complete an upload; the answer, whatever its status. */
export function askToComplete(hub: HubUnderTest, id: string): Promise<Response> {
  return hub.api(`/api/uploads/${id}/complete`, json('POST', {}));
}

/** Completes an upload. Throws unless the hub does. */
export function completeUpload(hub: HubUnderTest, id: string): Promise<UploadCompleted> {
  return parsed(uploadCompleted, askToComplete(hub, id));
}

/** Sends what is missing of an upload and completes it. */
export async function carryOn(hub: HubUnderTest, id: string, file: ChunkedFile): Promise<UploadCompleted> {
  const { status, received_chunks } = await uploadState(hub, id);
  if (status === 'initiated' || status === 'uploading') {
    for (let num = 0; num < file.chunks; num += 1)
      if (!includes(received_chunks, num)) await sendChunk(hub, id, file, num);
  }
  return completeUpload(hub, id);
}

/** Sends files in one request, each behind its header (docs/uploads.md). Throws unless they are answered one by one. */
export function sendBatch(hub: HubUnderTest, files: readonly ChunkedFile[]): Promise<BatchResult> {
  const body = Buffer.concat(files.flatMap(framed));
  const headers = { 'content-type': batchMediaType };
  return parsed(batchResult, hub.api('/api/uploads/batch', { method: 'POST', headers, body }));
}

function framed({ filepath, hostname, sha256, bytes }: ChunkedFile): Buffer[] {
  const header = Buffer.from(JSON.stringify({ filepath, hostname, sha256, size: bytes.length }));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(header.length);
  return [length, header, bytes];
}

export function uploadState(hub: HubUnderTest, id: string): Promise<Upload> {
  return parsed(upload, hub.api(`/api/uploads/${id}`));
}

/** Whether ranges of chunk numbers, both ends included, have a number. */
export function includes(ranges: readonly (readonly [number, number])[], num: number): boolean {
  return ranges.some(([first, last]) => first <= num && num <= last);
}

/** The active host files with a content. */
export function filesWith(hub: HubUnderTest, sha256: string): Promise<HostFileList> {
  return parsed(hostFileList, hub.api(`/api/files?sha256=${sha256}`));
}

/** The SHA-256 of the bytes that the hub hands out for a content; its answer when it hands out none. */
export async function servedContent(hub: HubUnderTest, sha256: string): Promise<string> {
  const response = await hub.api(`/api/files/${sha256}/content`);
  if (!response.ok) return `${response.status} ${await response.text()}`;
  return createHash('sha256')
    .update(Buffer.from(await response.arrayBuffer()))
    .digest('hex');
}

/** The body of an answer. Throws unless it is a success of that shape. */
export async function parsed<T>(schema: z.ZodType<T>, asked: Promise<Response>): Promise<T> {
  const response = await asked;
  const text = await response.text();
  if (!response.ok) throw new Error(`${response.url} answered ${response.status}: ${text}`);
  const body: unknown = JSON.parse(text);
  return schema.parse(body);
}
