import { z } from 'zod';
import { sha256, timeInput } from '@holdfast/contract/fields';
import { fileMode, filepath, hostname } from '@holdfast/contract/host-names';
import { HoldfastError } from '@holdfast/contract/errors';
import { decodeBase64, refusedHeader } from './request-headers.ts';

/** Where files are listed whose client does not say from which machine they come: browsers, mostly. */
const UNNAMED_HOST = 'tus';

/** What the metadata of a tus upload says about its file. */
export interface TusFile {
  filepath: string;
  hostname: string;
  sha256: string | null;
  mtime: Date | null;
  mode: number | null;
  backendId: string | undefined;
}

const known = z.object({
  filepath,
  hostname: hostname.default(UNNAMED_HOST),
  sha256: sha256.nullable().default(null),
  mtime: timeInput
    .transform((text) => new Date(text))
    .nullable()
    .default(null),
  mode: z
    .string()
    .regex(/^\d{1,4}$/, 'must be a whole number')
    .transform(Number)
    .pipe(fileMode)
    .nullable()
    .default(null),
  backend_id: z.string().min(1).optional(),
});

/**
 * The pairs of `Upload-Metadata` (tus 1.0): keys with values in Base64, joined by commas; a key may stand alone.
 * @throws HoldfastError `invalid_request` for what is no list, an empty or repeated key, and a value that is not UTF-8 in Base64
 */
export function parseMetadata(header: string | undefined): Map<string, string> {
  const pairs = new Map<string, string>();
  if (header === undefined || header.trim() === '') return pairs;
  const utf8 = new TextDecoder('utf-8', { fatal: true });
  for (const pair of header.split(',')) {
    const [key = '', encoded = '', ...rest] = pair.trim().split(' ');
    if (key === '' || rest.length > 0 || pairs.has(key))
      throw refusedHeader(
        'Upload-Metadata',
        'must be a list of different keys, each with one value in Base64',
      );
    const bytes = decodeBase64(encoded);
    if (bytes === undefined) throw refusedHeader('Upload-Metadata', `has no Base64 for the key ${key}`);
    try {
      pairs.set(key, utf8.decode(bytes));
    } catch (error) {
      throw new HoldfastError('invalid_request', `Upload-Metadata has no UTF-8 for the key ${key}.`, {
        cause: error,
        errors: [{ field: 'Upload-Metadata', message: `has no UTF-8 for the key ${key}` }],
      });
    }
  }
  return pairs;
}

/**
 * What the pairs say about the file. Its path is `filepath`, or what clients know by `relativePath`, `filename` or `name`.
 * @throws HoldfastError `validation_failed` naming the key
 */
export function describeFile(pairs: ReadonlyMap<string, string>): TusFile {
  const given = (key: string): string | undefined => {
    const value = pairs.get(key);
    // Browsers' clients send these texts for what they do not have.
    return value === undefined || value === '' || value === 'null' || value === 'undefined'
      ? undefined
      : value;
  };
  const parsed = known.safeParse({
    filepath: given('filepath') ?? given('relativePath') ?? given('filename') ?? given('name'),
    hostname: given('hostname'),
    sha256: given('sha256'),
    mtime: given('mtime'),
    mode: given('mode'),
    backend_id: given('backend_id'),
  });
  if (parsed.success) {
    const { backend_id: backendId, ...file } = parsed.data;
    return { ...file, backendId };
  }
  const errors = parsed.error.issues.map(({ path, message }) => ({
    field: `Upload-Metadata.${path.join('.')}`,
    message:
      path[0] === 'filepath' && given('filepath') === undefined
        ? 'is required: filepath, filename or name'
        : message,
  }));
  const text = errors.map(({ field, message }) => `${field} ${message}`).join('; ');
  throw new HoldfastError('validation_failed', `${text}.`, { errors });
}
