import { once } from 'node:events';
import { connect } from 'node:net';

export interface RawRequest {
  /** Where to connect: only host and port are used. */
  url: string;
  /** The request line and header lines exactly as sent, without line ends. */
  lines: readonly string[];
  body?: string | Uint8Array;
  /** Milliseconds for the whole exchange. Default: 20,000. */
  timeoutMs?: number;
}

/** A response as it was on the wire. */
export interface RawResponse {
  /** Every byte that was received. */
  raw: Buffer;
  statusLine: string;
  status: number;
  /** Header lines in their order, with the case they were sent in. */
  headerLines: string[];
  /** The value of the header with exactly this name, letter case included; undefined when there is none. */
  header(exactName: string): string | undefined;
  /** Everything after the empty line, chunk framing included. */
  body: Buffer;
}

/**
 * Sends bytes over a fresh TCP connection and reads until the server closes it, so ask for `Connection: close`.
 * Throws when the server does not close in time or does not speak HTTP/1.
 */
export async function sendRaw(request: RawRequest): Promise<RawResponse> {
  const { hostname, port } = new URL(request.url);
  const socket = connect(Number(port), hostname);
  const timeoutMs = request.timeoutMs ?? 20_000;
  const timer = setTimeout(() => {
    socket.destroy(new Error(`No end of the response within ${timeoutMs} ms for: ${request.lines[0] ?? ''}`));
  }, timeoutMs);
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.write(`${request.lines.join('\r\n')}\r\n\r\n`, 'latin1');
  if (request.body !== undefined) socket.write(request.body);
  try {
    await once(socket, 'end');
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
  return parseRaw(Buffer.concat(chunks));
}

/** `GET` or `HEAD` of a path exactly as written, with `Connection: close` and any further header lines. */
export async function requestRaw(
  url: string,
  method: string,
  target: string,
  headerLines: readonly string[] = [],
): Promise<RawResponse> {
  const lines = [
    `${method} ${target} HTTP/1.1`,
    `Host: ${new URL(url).host}`,
    'Connection: close',
    ...headerLines,
  ];
  return await sendRaw({ url, lines });
}

/** Cuts a received message (RFC 9112 §2.1) into its lines. */
export function parseRaw(raw: Buffer): RawResponse {
  const end = raw.indexOf('\r\n\r\n');
  if (end < 0)
    throw new Error(`Not an HTTP/1 message: ${JSON.stringify(raw.toString('latin1').slice(0, 200))}`);
  const [statusLine = '', ...headerLines] = raw.toString('latin1', 0, end).split('\r\n');
  const status = Number(/^HTTP\/1\.[01] (\d{3})(?: |$)/.exec(statusLine)?.[1]);
  if (Number.isNaN(status)) throw new Error(`Not an HTTP/1 status line: ${JSON.stringify(statusLine)}`);
  return {
    raw,
    statusLine,
    status,
    headerLines,
    header: (exactName) =>
      headerLines
        .find((line) => line.startsWith(`${exactName}:`))
        ?.slice(exactName.length + 1)
        .trim(),
    body: raw.subarray(end + 4),
  };
}
