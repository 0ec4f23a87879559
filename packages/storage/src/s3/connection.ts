import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import { HoldfastError } from '@holdfast/contract/errors';
import type * as S3Module from '@aws-sdk/client-s3';
import type { S3Client } from '@aws-sdk/client-s3';
import type { S3Place } from './config.ts';
import { failureOf, S3Failure } from './failure.ts';
import { Patience } from './patience.ts';
import type { PatienceKind } from './patience.ts';
import { addRequestHeaders } from './request-headers.ts';
import type { BodyDigests } from './request-headers.ts';
import { stallingAgents } from './stalling-agents.ts';

/** The client library, which is loaded when the first request is made: it costs 80 ms and some 20 MB. */
export type S3Library = typeof S3Module;

export interface CallOptions {
  /** What is done, as a gerund, for errors. */
  doing: string;
  signal?: AbortSignal | undefined;
  /** Default `brief`. */
  patience?: PatienceKind | undefined;
}

/** Where failures are told that end nothing. Any pino logger is one. */
export interface S3Logger {
  warn(details: object, message: string): void;
}

export interface Session {
  client: S3Client;
  library: S3Library;
  bucket: string;
  /** Where the digest of a body is told before the body is sent. */
  digests: BodyDigests;
}

/** Calls that make the server copy or join bytes may be silent for long. */
const slowFactor = 10;
/** Tries of a request that the server says it got damaged. */
const damagedTries = 3;

async function openSession(place: S3Place, limitMs: number): Promise<Session> {
  const [library, { NodeHttpHandler }] = await Promise.all([
    import('@aws-sdk/client-s3'),
    import('@smithy/node-http-handler'),
  ]);
  // Stalls are seen by the agents; the library's own timers would also count the time in which a reader rests.
  const usual = new NodeHttpHandler({ ...stallingAgents(limitMs), socketTimeout: 0 });
  const slow = new NodeHttpHandler({ ...stallingAgents(limitMs * slowFactor), socketTimeout: 0 });
  type Handle = typeof usual.handle;
  class PacedHandler extends NodeHttpHandler {
    override handle(...[request, options]: Parameters<Handle>): ReturnType<Handle> {
      const { abortSignal, requestTimeout } = options ?? {};
      const handler = requestTimeout === undefined ? usual : slow;
      return handler.handle(request, abortSignal === undefined ? {} : { abortSignal });
    }
    override destroy(): void {
      usual.destroy();
      slow.destroy();
    }
  }
  const client = new library.S3Client({
    region: place.region,
    ...(place.endpoint === undefined ? {} : { endpoint: place.endpoint.href }),
    forcePathStyle: place.pathStyle,
    credentials: { accessKeyId: place.accessKeyId, secretAccessKey: place.secretAccessKey },
    requestHandler: new PacedHandler(),
    // Retries are ours, because only we know what is safe to repeat and how long somebody waits.
    maxAttempts: 1,
    // Servers other than Amazon's refuse the trailing checksums; the signature covers the SHA-256 of each body.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    expectContinueHeader: false,
  });
  const digests: BodyDigests = new WeakMap();
  addRequestHeaders(client, digests);
  return { client, library, bucket: place.bucket, digests };
}

/** The way to one bucket: opened with the first call, and again by itself after trouble. */
export class Connection implements AsyncDisposable {
  readonly place: S3Place;
  /** Time without progress after which a server counts as dead, in milliseconds. */
  readonly limitMs: number;
  readonly logger: S3Logger | undefined;
  readonly #closing = new AbortController();
  #session: Promise<Session> | undefined;

  constructor(place: S3Place, limitMs: number, logger?: S3Logger) {
    this.place = place;
    this.limitMs = limitMs;
    this.logger = logger;
  }

  /** The caller's signal, or the one of the closing of the backend, whichever fires first. */
  signalFor(signal: AbortSignal | undefined): AbortSignal {
    return signal === undefined ? this.#closing.signal : AbortSignal.any([signal, this.#closing.signal]);
  }

  /**
   * Makes a request, and again while its failure may pass and there is patience.
   * @param landed asked when nobody knows whether an earlier try took effect: its result, if it did
   * @throws S3Failure; HoldfastError `cancelled`, `backend_unavailable` when the backend was closed
   */
  async call<T>(
    options: CallOptions,
    request: (session: Session, signal: AbortSignal) => Promise<T>,
    landed?: () => Promise<T | undefined>,
  ): Promise<T> {
    const signal = this.signalFor(options.signal);
    const patience = new Patience(options.patience ?? 'brief', this.limitMs);
    let isAmbiguous = false;
    for (let tries = 1; ; tries += 1) {
      const startedAt = performance.now();
      throwIfCancelled(signal, options.doing);
      try {
        if (isAmbiguous) {
          const result = await landed?.();
          if (result !== undefined) return result;
        }
        return await request(await this.#open(), signal);
      } catch (error) {
        throwIfCancelled(signal, options.doing);
        if (error instanceof HoldfastError) throw error;
        const failure = this.#scrubbed(failureOf(error));
        if (isAmbiguous && (failure.isMissing || failure.isPrecondition)) {
          const result = await landed?.();
          if (result !== undefined) return result;
        }
        isAmbiguous ||= failure.isAmbiguous;
        const isDamaged = failure.status !== undefined && failure.status < 500;
        if (!failure.isTransient || (isDamaged && tries >= damagedTries)) throw failure;
        if (!(await patience.goOn(startedAt, signal, options.doing))) throw failure;
      }
    }
  }

  /** The secret never leaves this file, whatever a server puts into its answers. */
  #scrubbed(failure: S3Failure): S3Failure {
    if (!failure.message.includes(this.place.secretAccessKey)) return failure;
    return new S3Failure({
      code: failure.code,
      message: 'the server repeats a secret',
      status: failure.status,
    });
  }

  #open(): Promise<Session> {
    this.#session ??= openSession(this.place, this.limitMs);
    return this.#session;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const text = 'The backend was closed. Use the one that took its place.';
    this.#closing.abort(new HoldfastError('backend_unavailable', text));
    const session = await this.#session;
    session?.client.destroy();
  }
}
