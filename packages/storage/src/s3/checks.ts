import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { addressOf } from './config.ts';
import type { S3Place } from './config.ts';
import type { CallOptions, Connection } from './connection.ts';
import { failureOf, S3Failure } from './failure.ts';
import { listKeys } from './key-pages.ts';

const authenticationCodes = new Set([
  'InvalidAccessKeyId',
  'InvalidClientTokenId',
  'SignatureDoesNotMatch',
  'RequestTimeTooSkewed',
]);

/** @throws S3Failure `ENOTFOUND` when the name of the server is not known, `ETIMEDOUT` when nobody can say */
export async function resolve(place: S3Place, limitMs: number): Promise<void> {
  const timer = new AbortController();
  const late = delay(limitMs, undefined, { signal: timer.signal, ref: false }).then(() => {
    throw new S3Failure({ code: 'ETIMEDOUT', message: 'the name service does not answer' });
  });
  try {
    await Promise.race([lookup(addressOf(place).host), late]);
  } catch (error) {
    if (error instanceof S3Failure) throw error;
    throw new S3Failure({ code: 'ENOTFOUND', message: failureOf(error).message });
  } finally {
    late.catch(() => undefined);
    timer.abort();
  }
}

/** Makes a connection below HTTP and closes it. @throws S3Failure with the errno, or `CERTIFICATE` */
export async function connect(
  place: S3Place,
  limitMs: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { host, port, isSecure } = addressOf(place);
  const servername = /^[\d.:]+$/.test(host) ? {} : { servername: host };
  const socket = isSecure ? connectTls({ host, port, ...servername }) : connectTcp({ host, port });
  socket.setTimeout(limitMs, () => {
    socket.destroy(Object.assign(new Error('no answer within the time limit'), { code: 'ETIMEDOUT' }));
  });
  try {
    await once(socket, isSecure ? 'secureConnect' : 'connect', signal === undefined ? {} : { signal });
  } catch (error) {
    throw failureOf(error);
  } finally {
    socket.on('error', () => undefined).destroy();
  }
}

/** @throws S3Failure when the server does not take the key; a bucket that it does not show is no matter here */
export async function authenticate(connection: Connection, call: CallOptions): Promise<void> {
  const failure = await listingFailure(connection, call);
  if (failure === undefined) return;
  const isAbout = authenticationCodes.has(failure.code) || failure.status === 401;
  if (isAbout || failure.isAmbiguous) throw failure;
}

/** @throws S3Failure when the bucket is not there, or may not be listed */
export async function requireBucket(connection: Connection, call: CallOptions): Promise<void> {
  const failure = await listingFailure(connection, call);
  if (failure !== undefined) throw failure;
}

async function listingFailure(connection: Connection, call: CallOptions): Promise<S3Failure | undefined> {
  try {
    await listKeys(connection, { prefix: connection.place.prefix, limit: 1 }, call);
    return undefined;
  } catch (error) {
    if (error instanceof S3Failure) return error;
    throw error;
  }
}
