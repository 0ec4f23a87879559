import type { ByteRange } from '@holdfast/bytes/ranges';
import { isSha256Hex } from '@holdfast/bytes/sha256';
import { HoldfastError, isHoldfastError } from '@holdfast/contract/errors';
import type { HubClient } from '../client.ts';
import { parseContentRange } from '../byte-ranges.ts';
import { HttpRangeRequests } from './http-range-request.ts';

/** What is fetched: a file of a backend, or a content. */
export type DownloadWhat = { backend_id: string; path: string } | { sha256: string };

/** One state of a file at a hub. */
export interface RemoteFile {
  /** Bytes. */
  size: number;
  /** A strong entity tag with its quotes. */
  etag?: string | undefined;
  /** As the hub wrote it; good for If-Range when there is no entity tag (RFC 9110 §13.1.5). */
  lastModified?: string | undefined;
  /** Lower-case hex, when the hub knows it. */
  sha256?: string | undefined;
}

/** The bytes of an answer. Leaving their iteration ends the connection when more would come. */
export interface RangeBody extends AsyncIterable<Uint8Array> {
  cancel(): Promise<void>;
}

/** Bytes on their way: which ones of which file. They can begin before the ones that were asked for, and end later. */
export interface RangeAnswer extends ByteRange {
  file: RemoteFile;
  body: RangeBody;
}

/** A file that can be fetched in parts. */
export interface RangeSource {
  /** How errors call it. */
  readonly label: string;
  /** The same for the same file of the same hub. */
  readonly identity: string;
  /** @throws HoldfastError what the hub answered, `unreachable`, `cancelled` */
  open(
    range: { start: number; end?: number | undefined } | undefined,
    expected: RemoteFile | undefined,
    signal: AbortSignal,
  ): Promise<RangeAnswer>;
}

/** The file behind one of the two endpoints for bytes. */
export function rangeSource(client: HubClient, what: DownloadWhat): RangeSource {
  const label = 'sha256' in what ? `the content ${what.sha256}` : what.path;
  const requests = new HttpRangeRequests(client);
  // The first answer is patient; whoever goes on after it has a patience of its own.
  const ask = (
    headers: Record<string, string>,
    isFirst: boolean,
    signal: AbortSignal,
  ): Promise<RangeHead> => {
    if ('sha256' in what) {
      const given = { params: { sha256: what.sha256 }, headers };
      return isFirst
        ? client.raw('downloadContent', { ...given, signal })
        : requests.get('downloadContent', given, signal);
    }
    const given = { params: { id: what.backend_id }, query: { path: what.path }, headers };
    return isFirst
      ? client.raw('downloadFile', { ...given, signal })
      : requests.get('downloadFile', given, signal);
  };
  return {
    label,
    identity: JSON.stringify([client.url, what]),
    async open(range, expected, signal) {
      // A proxy that compresses would answer other bytes than those of the file.
      const headers: Record<string, string> = { 'accept-encoding': 'identity' };
      if (range !== undefined) {
        headers['range'] = `bytes=${range.start}-${range.end === undefined ? '' : range.end - 1}`;
        const validator = expected?.etag ?? expected?.lastModified;
        if (validator !== undefined) headers['if-range'] = validator;
      }
      const response = await ask(headers, expected === undefined, signal).catch(async (error: unknown) => {
        // No byte of an empty file can be asked for; the answer without a range tells whether it is one.
        if (range === undefined || !isHoldfastError(error, 'range_not_satisfiable')) throw error;
        delete headers['range'];
        return await ask(headers, expected === undefined, signal);
      });
      return rangeAnswer(response, label);
    },
  };
}

/** Whether two answers are of the same state of a file, as far as they tell. */
export function isSameFile(one: RemoteFile, other: RemoteFile): boolean {
  if (one.size !== other.size) return false;
  if (one.etag !== undefined && other.etag !== undefined) return one.etag === other.etag;
  return one.lastModified === other.lastModified;
}

/** What is common to an answer of `fetch` and one of `node:http`. */
interface RangeHead {
  readonly status: number;
  readonly headers: Headers;
  readonly body: RangeBody | null;
}

function rangeAnswer(response: RangeHead, label: string): RangeAnswer {
  const { headers, body, status } = response;
  const length = headers.get('content-length');
  const whole = length === null ? undefined : { start: 0, end: Number(length), size: Number(length) };
  const range = status === 206 ? parseContentRange(headers.get('content-range')) : whole;
  if (range === undefined || body === null || headers.get('content-encoding') !== null) {
    void body?.cancel().catch(() => undefined);
    const text = `The answer for ${label} does not say which bytes it has. A proxy between here and the hub changes answers; go around it.`;
    throw new HoldfastError('internal', text);
  }
  const etag = headers.get('etag');
  const tagged = etag === null ? undefined : /^"sha256:([0-9a-f]{64})"$/.exec(etag)?.[1];
  const named = headers.get('x-checksum-sha256');
  return {
    start: range.start,
    end: range.end,
    body,
    file: {
      size: range.size,
      etag: etag?.startsWith('"') === true ? etag : undefined,
      lastModified: headers.get('last-modified') ?? undefined,
      sha256: isSha256Hex(named) ? named : (tagged ?? digestField(headers.get('repr-digest'))),
    },
  };
}

/** The SHA-256 of Repr-Digest (RFC 9530 §3) as hex. */
function digestField(value: string | null): string | undefined {
  const encoded = value === null ? undefined : /(?:^|,)\s*sha-256=:([A-Za-z0-9+/]{43}=):/.exec(value)?.[1];
  return encoded === undefined ? undefined : Buffer.from(encoded, 'base64').toString('hex');
}
