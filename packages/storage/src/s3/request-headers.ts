import type { S3Client } from '@aws-sdk/client-s3';
import { createHash } from 'node:crypto';

/** SHA-256 digests (lower-case hex) of bodies that are hashed already, by the very buffer or stream that is sent. */
export type BodyDigests = WeakMap<object, string>;

function headersOf(request: unknown): { headers: object; body: unknown } | undefined {
  if (typeof request !== 'object' || request === null || !('headers' in request)) return undefined;
  const { headers } = request;
  if (typeof headers !== 'object' || headers === null) return undefined;
  return { headers, body: 'body' in request ? request.body : undefined };
}

/**
 * Headers that the client library does not set as we need them, before the signature is made:
 * - `x-amz-content-sha256` from a digest that was computed while the body was gathered, so that no body of megabytes
 *   is hashed in one go on the event loop;
 * - `Content-MD5` of DeleteObjects: older servers insist on it (Amazon S3 API, DeleteObjects);
 * - `x-amz-copy-if-match`: Ceph's gateway knows the condition of a copy by this name only, and ignores the other one.
 */
export function addRequestHeaders(client: S3Client, digests: BodyDigests): void {
  client.middlewareStack.add(
    (next, context) => async (args) => {
      const request = headersOf(args.request);
      if (request === undefined) return next(args);
      const { headers, body } = request;
      const sha256 = typeof body === 'object' && body !== null ? digests.get(body) : undefined;
      if (sha256 !== undefined) Object.assign(headers, { 'x-amz-content-sha256': sha256 });
      const isText = typeof body === 'string' || body instanceof Uint8Array;
      if (context.commandName === 'DeleteObjectsCommand' && isText) {
        Object.assign(headers, { 'content-md5': createHash('md5').update(body).digest('base64') });
      }
      const condition =
        'x-amz-copy-source-if-match' in headers ? headers['x-amz-copy-source-if-match'] : undefined;
      if (condition !== undefined) Object.assign(headers, { 'x-amz-copy-if-match': condition });
      return next(args);
    },
    { step: 'build', name: 'holdfastHeaders', priority: 'low' },
  );
}
