import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import { sha256Hex } from '@holdfast/bytes/sha256';
import { HoldfastError, isHoldfastError } from '@holdfast/contract/errors';
import { randomUUID } from 'node:crypto';
import { parseMarker, renderMarker } from '../volume/marker.ts';
import { connect, resolve } from './checks.ts';
import { configProblem, parseS3Config } from './config.ts';
import type { S3Config } from './config.ts';
import { Connection } from './connection.ts';
import type { CallOptions } from './connection.ts';
import { S3Failure, s3Error } from './failure.ts';
import { Keys } from './keys.ts';
import { listKeys } from './key-pages.ts';
import { getSmall, putObject } from './objects.ts';

/** What a person can mend in the configuration, by the code that S3 refuses it with. */
const problems: Record<string, readonly [field: keyof S3Config, message: string]> = {
  NoSuchBucket: ['bucket', 'there is no such bucket; make it, or look at its name'],
  InvalidBucketName: ['bucket', 'the server does not take it as the name of a bucket'],
  InvalidAccessKeyId: ['access_key_id', 'the server does not know it'],
  InvalidClientTokenId: ['access_key_id', 'the server does not know it'],
  // Some servers, as Swift, say the same of a key that they do not know.
  SignatureDoesNotMatch: ['secret_access_key', 'the server refuses it; look at access_key_id, too'],
  PermanentRedirect: ['region', 'the bucket is in another region'],
  AuthorizationHeaderMalformed: ['region', 'the bucket is in another region'],
  IllegalLocationConstraintException: ['region', 'the bucket is in another region'],
  CERTIFICATE: [
    'endpoint',
    'the connection cannot be made safe (TLS): is the certificate good, and is it https',
  ],
};

/** A failure of S3 as a problem of the configuration where it is one, else as it is for any operation. */
function explained(error: unknown, call: CallOptions, doing: 'read' | 'write'): unknown {
  if (!(error instanceof S3Failure)) return error;
  const known = problems[error.code];
  if (known !== undefined) return configProblem(known[0], known[1], error);
  if (error.code === 'Garbled' || error.status === 404 || error.status === 405 || error.status === 400) {
    const message = `what answers there does not speak S3 (${error.code}); look at path_style, too`;
    return configProblem('endpoint', message, error);
  }
  if (error.status === 401 || error.status === 403) {
    const may = doing === 'read' ? 'list and read the bucket' : 'write into the bucket';
    return configProblem('access_key_id', `its owner may not ${may} (${error.code})`, error);
  }
  return s3Error(error, call.doing, 'write', call.signal);
}

/**
 * Checks a configuration against the world and marks the bucket: adopts the marker that is there, or writes a new one.
 *
 * @param options.timeoutMs time without progress after which the server counts as dead; default 30 s
 * @returns the id of the volume, to be kept with the backend
 * @throws HoldfastError `validation_failed` with the field at fault; `backend_unavailable` for an unreachable server
 */
export async function prepareS3(
  config: S3Config,
  options: { signal?: AbortSignal; timeoutMs?: number } = {},
): Promise<{ volumeId: string }> {
  const place = parseS3Config(config);
  const call: CallOptions = { doing: 'Looking at the bucket', signal: options.signal, patience: 'brief' };
  throwIfCancelled(call.signal, call.doing);
  await using connection = new Connection(place, options.timeoutMs ?? 30_000);
  const keys = new Keys(place.prefix);
  try {
    await resolve(place, connection.limitMs);
    await connect(place, connection.limitMs, options.signal);
    await listKeys(connection, { prefix: place.prefix, limit: 1 }, call);
    const known = await readMarker(connection, keys.marker, call);
    if (known !== undefined) return { volumeId: known };
  } catch (error) {
    throw explained(error, call, 'read');
  }
  try {
    return { volumeId: await writeMarker(connection, keys.marker, call) };
  } catch (error) {
    throw explained(error, call, 'write');
  }
}

async function readMarker(
  connection: Connection,
  key: string,
  call: CallOptions,
): Promise<string | undefined> {
  const text = await getSmall(connection, key, call);
  if (text === undefined) return undefined;
  try {
    return parseMarker(text.toString(), key).volumeId;
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    throw configProblem('prefix', error.message.replace(/\.$/, ''), error);
  }
}

async function writeMarker(connection: Connection, key: string, call: CallOptions): Promise<string> {
  const text = renderMarker({ volumeId: randomUUID(), createdAt: new Date().toISOString() });
  const bytes = Buffer.from(text);
  try {
    await putObject(connection, key, bytes, sha256Hex(bytes), { ifAbsent: true }, call);
  } catch (error) {
    // Somebody else set the same place up in this moment: theirs counts.
    if (!(error instanceof S3Failure) || !error.isPrecondition) throw error;
  }
  // Read back: where a server ignores conditions on writes, the last of two writers counts for both.
  const written = await readMarker(connection, key, call);
  if (written !== undefined) return written;
  const problem = 'its marker comes and goes; is another program at work there';
  throw new HoldfastError('validation_failed', `The bucket cannot be used as a backend: ${problem}.`, {
    errors: [{ field: 'config.bucket', message: problem }],
  });
}
