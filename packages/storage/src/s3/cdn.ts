import type { Dispatcher } from 'undici';
import type { Readable } from 'node:stream';
import type { ByteRange } from '../backend.ts';
import { S3Failure } from './failure.ts';

/** Reads of the bucket by way of a CDN: plain HTTP without credentials, believed only where the ETag is the bucket's. */
export class Cdn implements AsyncDisposable {
  readonly #url: string;
  readonly #limitMs: number;
  #dispatcher: Promise<Dispatcher> | undefined;

  /**
   * @param url without a slash at its end
   * @param limitMs time without progress after which the CDN counts as dead
   */
  constructor(url: string, limitMs: number) {
    this.#url = url;
    this.#limitMs = limitMs;
  }

  /**
   * A range of one version of an object.
   * @throws S3Failure whenever it is not exactly that: the caller turns to the bucket itself
   */
  async openRange(
    key: string,
    object: { etag: string; size: number },
    range: ByteRange,
    signal: AbortSignal,
  ): Promise<Readable> {
    const isWhole = range.start === 0 && range.end === object.size;
    const { statusCode, headers, body } = await (
      await this.#open()
    ).request({
      origin: new URL(this.#url).origin,
      path: `${new URL(this.#url).pathname.replace(/\/$/, '')}/${key.split('/').map(encodeURIComponent).join('/')}`,
      method: 'GET',
      headers: {
        // A compressed answer would have other bytes, and often the same ETag.
        'accept-encoding': 'identity',
        'if-match': `"${object.etag}"`,
        ...(isWhole ? {} : { range: `bytes=${range.start}-${range.end - 1}` }),
      },
      signal,
    });
    const etag = typeof headers['etag'] === 'string' ? headers['etag'].replace(/^(?:W\/)?"(.*)"$/, '$1') : '';
    const contentRange = `bytes ${range.start}-${range.end - 1}/${object.size}`;
    const isRight =
      etag === object.etag &&
      headers['content-encoding'] === undefined &&
      headers['content-length'] === String(range.end - range.start) &&
      (isWhole ? statusCode === 200 : statusCode === 206 && headers['content-range'] === contentRange);
    if (isRight) return body;
    // What is destroyed reports it; nobody is interested any more.
    body.on('error', () => undefined).destroy();
    const message = `it answered ${statusCode}${etag === object.etag ? '' : ' with another ETag'}`;
    throw new S3Failure({ code: 'CdnDiffers', message, status: statusCode });
  }

  #open(): Promise<Dispatcher> {
    this.#dispatcher ??= import('undici').then(
      ({ Agent }) =>
        new Agent({
          connect: { timeout: this.#limitMs },
          headersTimeout: this.#limitMs,
          bodyTimeout: this.#limitMs,
        }),
    );
    return this.#dispatcher;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await (await this.#dispatcher)?.destroy();
  }
}
