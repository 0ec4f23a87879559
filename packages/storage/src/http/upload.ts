import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import { StreamDigest } from '@holdfast/bytes/sha256';
import { HoldfastError } from '@holdfast/contract/errors';
import type { StagingSlot } from '../volume/staging-slot.ts';
import { STAGING } from './address.ts';
import type { Segments } from './address.ts';
import { validatorOf } from './entry.ts';
import { statusError } from './failure.ts';
import { explainServerError } from './full-disk.ts';
import type { HttpReply } from './reply.ts';
import { traitsOf } from './reply-traits.ts';
import type { Site } from './site.ts';
import { UploadBody } from './upload-body.ts';
import type { UploadExpectations } from './upload-body.ts';

const verifyAttempts = 2;
/** Milliseconds for tidying up after a failure, which must not double the time that a dead server costs. */
const discardLimitMs = 2000;

/** Bytes on the server under a temporary name, read back and found to be those of the source. */
export interface StagedUpload {
  segments: Segments;
  size: number;
  /** Lower-case hex. */
  sha256: string;
  /** What the file's validator is, as its own reply tells; undefined when that has neither a time nor an ETag. */
  validator: string | undefined;
  modifiedMs: number | undefined;
}

/** The place of a write in the staging folder. */
export function stagingPlace(slot: StagingSlot): Segments {
  return [...STAGING, slot.tempName];
}

/**
 * Sends a source to the staging folder and reads it back: what the server has must have the SHA-256 that was computed
 * from the source. Removes what it made when it fails.
 *
 * @param timeMs what the file's time should be. nginx takes it from the Date header (ngx_http_dav_put_handler);
 *   others use their own clock
 * @throws HoldfastError as `StorageBackend.write`; an error of the source unchanged
 */
export async function stage(
  site: Site,
  segments: Segments,
  source: AsyncIterable<Uint8Array>,
  expectations: UploadExpectations,
  timeMs: number,
): Promise<StagedUpload> {
  const body = new UploadBody(source, expectations);
  try {
    await site.ensureStaging();
    await put(site, segments, body, expectations, timeMs);
  } catch (error) {
    await discardStaged(site, segments);
    throw error;
  } finally {
    await body[Symbol.asyncDispose]();
  }
  try {
    return await verify(site, segments, body, expectations);
  } catch (error) {
    await discardStaged(site, segments);
    throw error;
  }
}

async function put(
  site: Site,
  segments: Segments,
  body: UploadBody,
  { label, signal }: UploadExpectations,
  timeMs: number,
): Promise<void> {
  const doing = `Writing ${label}`;
  const headers: Record<string, string> = {
    date: new Date(timeMs).toUTCString(),
    'content-type': 'application/octet-stream',
    ...(body.size === undefined ? {} : { 'content-length': String(body.size) }),
  };
  const reply = await site.connection.send({
    method: 'PUT',
    url: site.addresses.of(segments),
    headers,
    body,
    doing,
    signal,
  });
  await reply.discard();
  if (reply.isOk) return;
  if (body.failure !== undefined) throw body.failure.error;
  if (reply.status === 404 || reply.status === 409) {
    site.forgetStaging();
    const text = `${doing} failed (HTTP ${reply.status}): the staging folder on the web server is gone. Try again.`;
    throw new HoldfastError('backend_unavailable', text);
  }
  throw reply.status === 500
    ? await explainServerError(site, segments, doing)
    : statusError(reply.status, doing, 'write');
}

async function verify(
  site: Site,
  segments: Segments,
  body: UploadBody,
  { label, signal }: UploadExpectations,
): Promise<StagedUpload> {
  const sha256 = body.digest.hex();
  const size = body.digest.bytes;
  for (let attempt = 1; ; attempt += 1) {
    const found = await digestOf(site, segments, `Verifying ${label}`, signal);
    if (found.sha256 === sha256 && found.size === size) return { segments, ...found };
    // The damage may have happened on the way back only: a second look tells.
    if (attempt < verifyAttempts) continue;
    const text =
      `${label} did not arrive as it was sent: the web server has ${found.size} bytes with SHA-256 ${found.sha256}, ` +
      `sent were ${size} with ${sha256}. Nothing was changed; send it again, and check the network.`;
    throw new HoldfastError('backend_unavailable', text);
  }
}

/** Reads a whole file for its digest, with what its headers say. */
export async function digestOf(
  site: Site,
  segments: Segments,
  doing: string,
  signal: AbortSignal | undefined,
): Promise<Omit<StagedUpload, 'segments'>> {
  const url = site.addresses.of(segments);
  return site.connection.ask({ method: 'GET', url, doing, signal }, async (reply) => {
    if (reply.status !== 200) throw statusError(reply.status, doing);
    return digestOfReply(reply, doing, signal);
  });
}

async function digestOfReply(
  reply: HttpReply,
  doing: string,
  signal: AbortSignal | undefined,
): Promise<Omit<StagedUpload, 'segments'>> {
  const traits = traitsOf(reply, doing);
  const digest = new StreamDigest();
  for await (const chunk of reply.chunks()) {
    throwIfCancelled(signal, doing);
    digest.update(chunk);
  }
  const size = digest.bytes;
  return {
    size,
    sha256: digest.hex(),
    validator: validatorOf({ ...traits, size }),
    modifiedMs: traits.modifiedMs,
  };
}

/** Removes a staged file. Never throws: what cannot be removed now is left to a sweep. */
export async function discardStaged(site: Site, segments: Segments): Promise<void> {
  const url = site.addresses.of(segments);
  const doing = `Removing the temporary file ${url.pathname}`;
  try {
    const signal = AbortSignal.timeout(Math.min(discardLimitMs, site.connection.timeLimitMs));
    const reply = await site.connection.send({ method: 'DELETE', url, doing, signal });
    await reply.discard();
    if (!reply.isOk && reply.status !== 404) throw statusError(reply.status, doing, 'write');
  } catch (error) {
    site.logger?.warn({ err: error }, 'a temporary file is left for the next sweep');
  }
}
