import type { IncomingMessage, ServerResponse } from 'node:http';
import { HoldfastError } from '@holdfast/contract/errors';

/** A JSON body may be this large unless its endpoint says otherwise, in bytes. */
const MAX_JSON_BYTES = 1024 * 1024;
/** A body of this size takes turns with others, in bytes. */
const LARGE_BODY_BYTES = 16 * 1024;
/** A body that sends nothing for this long is given up. */
const BODY_IDLE_MS = 60_000;

/** Marks a request whose client waits for `100 Continue` before it sends its body. */
const waitsForContinue = new WeakMap<IncomingMessage, ServerResponse>();

/** Remembers that the client asked `Expect: 100-continue`; the answer is sent when the body is first read. */
export function deferContinue(request: IncomingMessage, response: ServerResponse): void {
  waitsForContinue.set(request, response);
}

/** The right of one request to have its body read now. */
export interface BodyTurn {
  /** Resolves at once while it is this body's turn, else when it is again. */
  wait(): Promise<void>;
  /** Bytes that came before the first turn and were put aside; undefined when there are none. Asked for once. */
  takeEarly(): Promise<Buffer> | undefined;
  /** Tells whether the reader waits for its client from now on, or has got bytes. */
  awaitsClient(awaits: boolean): void;
  /** Whether the client had its turn lately, and did not send. */
  readonly isStalled: boolean;
}

const turns = new WeakMap<IncomingMessage, BodyTurn>();

/** From now on the request's body is only read when its turn says so. */
export function readInTurns(request: IncomingMessage, turn: BodyTurn): void {
  turns.set(request, turn);
}

/** Whether a body is so large that it takes turns; smaller ones are in memory before anybody could wait. */
export function takesTurns(request: IncomingMessage): boolean {
  const isChunked = request.headers['transfer-encoding'] !== undefined;
  return isChunked || (declaredLength(request) ?? 0) >= LARGE_BODY_BYTES;
}

/**
 * The request's body as it arrives, with backpressure.
 * Throws `incomplete_body` when the client goes away or stalls for `idleMs` before the end.
 */
export async function* readBody(
  request: IncomingMessage,
  idleMs = BODY_IDLE_MS,
): AsyncGenerator<Buffer, void, void> {
  const turn = turns.get(request);
  await turn?.wait();
  waitsForContinue.get(request)?.writeContinue();
  waitsForContinue.delete(request);
  const onIdle = (): void => {
    // A client whose turn it was not is not to blame.
    if (turn?.isStalled === false) {
      timer.refresh();
      return;
    }
    request.destroy(
      new HoldfastError('incomplete_body', `The body stopped arriving for ${idleMs / 1000} seconds.`),
    );
  };
  const timer = setTimeout(onIdle, idleMs);
  try {
    const early = await turn?.takeEarly();
    if (early !== undefined) yield early;
    await turn?.wait();
    turn?.awaitsClient(true);
    timer.refresh();
    // A refusal must still reach the client over this connection, so leaving early does not destroy the request.
    for await (const chunk of request.iterator({ destroyOnReturn: false })) {
      clearTimeout(timer);
      turn?.awaitsClient(false);
      await turn?.wait();
      if (Buffer.isBuffer(chunk)) yield chunk;
      await turn?.wait();
      turn?.awaitsClient(true);
      timer.refresh();
    }
  } catch (error) {
    if (error instanceof HoldfastError) throw error;
    throw new HoldfastError(
      'incomplete_body',
      'The connection was closed before the whole body arrived; nothing was changed.',
      { cause: error },
    );
  } finally {
    clearTimeout(timer);
    turn?.awaitsClient(false);
  }
}

/** The declared length of the body in bytes; undefined when it is chunked. */
export function declaredLength(request: IncomingMessage): number | undefined {
  const value = request.headers['content-length'];
  return value === undefined ? undefined : Number(value);
}

/**
 * Reads a small body whole and parses it as JSON; undefined when there is none.
 * @throws HoldfastError `too_large`, `unsupported_media_type`, `invalid_request`
 */
export async function readJson(request: IncomingMessage, maxBytes = MAX_JSON_BYTES): Promise<unknown> {
  const hasBody = (declaredLength(request) ?? 0) > 0 || request.headers['transfer-encoding'] !== undefined;
  if (!hasBody) return undefined;
  const mediaType = (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
  if (mediaType !== '' && mediaType !== 'application/json' && !mediaType.endsWith('+json')) {
    throw new HoldfastError('unsupported_media_type', `Send the body as application/json, not ${mediaType}.`);
  }
  const text = await readText(request, maxBytes);
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new HoldfastError('invalid_request', `The body is not valid JSON: ${reason}`, { cause: error });
  }
}

/** Reads a body of at most `maxBytes` as UTF-8. @throws HoldfastError `too_large` */
export async function readText(request: IncomingMessage, maxBytes: number): Promise<string> {
  const refusal = (): HoldfastError =>
    new HoldfastError('too_large', `This body may have at most ${maxBytes} bytes.`);
  if ((declaredLength(request) ?? 0) > maxBytes) throw refusal();
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of readBody(request)) {
    size += chunk.length;
    if (size > maxBytes) throw refusal();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
