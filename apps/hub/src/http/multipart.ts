import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { Busboy, type BusboyFileStream, type BusboyInstance } from '@fastify/busboy';
import { HoldfastError } from '@holdfast/contract/errors';
import { declaredLength, readBody } from './body.ts';

/** The bytes of an uploaded file, and how many there must be when the client said so. */
export interface UploadBody {
  source: AsyncIterable<Uint8Array>;
  length: number | undefined;
}

/**
 * The file in a request: the raw body, or the part `file` of a multipart form.
 * @throws HoldfastError `invalid_request` for a form without that part, `length_required` for a request without a body
 */
export async function openUploadBody(request: IncomingMessage): Promise<UploadBody> {
  const length = declaredLength(request);
  if (length === undefined && request.headers['transfer-encoding'] === undefined) {
    throw new HoldfastError(
      'length_required',
      'The request has no body: send Content-Length (0 for an empty file) or a chunked body.',
    );
  }
  const type = request.headers['content-type'] ?? '';
  if (!/^multipart\/form-data\b/i.test(type)) return { source: readBody(request), length };
  return { source: await formFile(request, type), length: undefined };
}

async function formFile(request: IncomingMessage, contentType: string): Promise<AsyncIterable<Uint8Array>> {
  let form: BusboyInstance;
  try {
    form = new Busboy({
      headers: { ...request.headers, 'content-type': contentType },
      limits: { files: 1, fields: 20, fieldSize: 64 * 1024 },
    });
  } catch (error) {
    throw new HoldfastError('invalid_request', 'The multipart body has no boundary in its Content-Type.', {
      cause: error,
    });
  }
  const body = Readable.from(readBody(request), { objectMode: false });
  return new Promise((resolve, reject) => {
    let found: BusboyFileStream | undefined;
    let failure: unknown;
    const fail = (error: unknown): void => {
      failure ??= error;
      body.destroy();
      found?.destroy(asIncomplete(failure));
      reject(asIncomplete(failure));
    };
    form.on('file', (field, part) => {
      // Heard even while nobody reads the part: an unheard error would end the process.
      part.on('error', fail);
      if (field !== 'file' || found !== undefined) {
        part.resume();
        return;
      }
      found = part;
      resolve(partBytes(part, () => failure));
    });
    form.once('finish', () => {
      if (found !== undefined) return;
      reject(
        new HoldfastError('invalid_request', 'The form has no part named "file".', {
          errors: [{ field: 'file', message: 'is required' }],
        }),
      );
    });
    form.on('error', fail);
    body.on('error', fail);
    body.pipe(form);
  });
}

/** The bytes of the part; a part whose closing boundary never arrives is an error, so that a cut form never looks complete. */
async function* partBytes(
  part: BusboyFileStream,
  failure: () => unknown,
): AsyncGenerator<Uint8Array, void, void> {
  try {
    for await (const chunk of part) if (Buffer.isBuffer(chunk)) yield chunk;
  } catch (error) {
    throw asIncomplete(failure() ?? error);
  }
  if (failure() !== undefined) throw asIncomplete(failure());
}

function asIncomplete(error: unknown): HoldfastError {
  if (error instanceof HoldfastError) return error;
  return new HoldfastError(
    'incomplete_body',
    'The multipart body ended early or is malformed; nothing was changed.',
    { cause: error },
  );
}
