import { ROOT } from '@holdfast/bytes/backend-path';
import { sha256Hex } from '@holdfast/bytes/sha256';
import { HoldfastError } from '@holdfast/contract/errors';
import { randomBytes } from 'node:crypto';
import type { ProbeCheck, ProbeReport } from '../backend.ts';
import { CheckList } from '../probing/check-list.ts';
import { StagingSlot } from '../volume/staging-slot.ts';
import type { Bucket } from './bucket.ts';
import type { Cdn } from './cdn.ts';
import { authenticate, connect, requireBucket, resolve } from './checks.ts';
import { failureOf, s3Error } from './failure.ts';
import { listFolder } from './listing.ts';
import { deleteObject, getSmall, headObject, putObject } from './objects.ts';

const probeBytes = 4096;

/** Tries in order what a backend is for. After the first failure the rest is told as not tried. Never throws. */
export async function probeBucket(
  bucket: Bucket,
  cdn: Cdn | undefined,
  signal: AbortSignal | undefined,
): Promise<ProbeReport> {
  const list = new CheckList(signal, { describe: messageOf });
  const attempt: Attempt = (name, passed, run) =>
    list.attempt(name, passed, (doing) => run({ doing, signal, patience: 'none' }));
  const { connection } = bucket;
  const { bucket: name } = connection.place;
  await attempt('resolve', 'The name of the server is known.', () =>
    resolve(connection.place, connection.limitMs),
  );
  await attempt('connect', 'The server takes connections.', ({ signal: stop }) =>
    connect(connection.place, connection.limitMs, stop),
  );
  await attempt('authenticate', 'The server takes the access key.', (call) => authenticate(connection, call));
  await attempt('bucket', `The bucket ${name} is there.`, (call) => requireBucket(connection, call));
  await attempt('volume', 'The marker is the one of this backend.', (call) => bucket.requireMarker(call));
  await attempt('list', 'The root can be listed.', async () => {
    await listFolder(bucket, ROOT, { limit: 1, ...(signal === undefined ? {} : { signal }) });
  });
  await probeRoundTrip(bucket, attempt);
  if (cdn === undefined || list.hasFailed) return list.report();
  return list.report([await probeCdn(bucket, cdn, signal)]);
}

interface ProbeCall {
  doing: string;
  signal: AbortSignal | undefined;
  patience: 'none';
}
type Attempt = (name: string, passed: string, run: (call: ProbeCall) => Promise<void>) => Promise<void>;

function messageOf(error: unknown, doing: string): string {
  try {
    return s3Error(error, doing, 'write').message;
  } catch (cancelled) {
    return cancelled instanceof Error ? cancelled.message : String(cancelled);
  }
}

async function probeRoundTrip(bucket: Bucket, attempt: Attempt): Promise<void> {
  using slot = new StagingSlot(bucket.ownerId);
  const { connection } = bucket;
  const key = bucket.keys.staging + slot.tempName;
  const bytes = randomBytes(probeBytes);
  let wasWritten = false;
  await attempt('write', `${probeBytes} bytes were written.`, async (call) => {
    wasWritten = true;
    await putObject(connection, key, bytes, sha256Hex(bytes), {}, call);
  });
  await attempt('read', 'The same bytes came back.', async (call) => {
    if ((await getSmall(connection, key, call))?.equals(bytes) === true) return;
    const text =
      'Other bytes came back than were written. Check the server of config.endpoint and the network.';
    throw new HoldfastError('checksum_mismatch', text);
  });
  await attempt('remove', 'The object of the check was removed.', async (call) => {
    await deleteObject(connection, key, call);
    wasWritten = false;
  });
  if (!wasWritten) return;
  const doing = 'Cleaning up after the check';
  await bucket.cleanUp(`The object ${key} of a check`, undefined, () =>
    deleteObject(connection, key, { doing, patience: 'none' }),
  );
}

/** A CDN that does not work takes nothing offline, as reads go to the bucket then: it is told, but fails nothing. */
async function probeCdn(bucket: Bucket, cdn: Cdn, signal: AbortSignal | undefined): Promise<ProbeCheck> {
  const name = 'cdn';
  const doing = `The check "${name}"`;
  try {
    const key = bucket.keys.marker;
    const object = await headObject(bucket.connection, key, { doing, signal, patience: 'none' });
    if (object === undefined) throw new Error('the marker is gone');
    const limit = bucket.connection.signalFor(signal);
    const body = await cdn.openRange(key, object, { start: 0, end: object.size }, limit);
    body.on('error', () => undefined).destroy();
    return { name, ok: true, message: 'The CDN shows the same objects as the bucket.' };
  } catch (error) {
    const reason = failureOf(error).message;
    const message = `The CDN cannot be used (${reason}), so files are read from the bucket. Look at config.cdn_url.`;
    return { name, ok: true, message };
  }
}
