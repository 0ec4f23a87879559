import type { ServerResponse } from 'node:http';
import type { FastifyRequest } from 'fastify';
import { planByteranges, randomBoundary } from '@holdfast/bytes/byteranges';
import { evaluateConditions } from '@holdfast/bytes/conditional';
import {
  contentRange,
  parseRangeHeader,
  unsatisfiedContentRange,
  type ByteRange,
} from '@holdfast/bytes/ranges';
import { HoldfastError } from '@holdfast/contract/errors';
import { mediaTypeOf } from './headers.ts';

/** What is sent of a file: one piece of it, or several framed as multipart/byteranges. */
interface Selection {
  status: 200 | 206;
  contentType: string;
  contentLength: number;
  extraHeaders: string[];
  parts: { header?: Uint8Array; range: ByteRange }[];
  trailer?: Uint8Array;
}

type Refusal = { status: 304 } | { status: 416; size: number };

/** Preconditions, then ranges: what is to be sent. @throws HoldfastError `precondition_failed` */
export function select(
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
export function sendHead(
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
