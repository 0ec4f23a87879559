import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { HoldfastError } from '@holdfast/contract/errors';

const NONCE_BYTES = 12; // NIST SP 800-38D §5.2.1.1: 96-bit nonces
const TAG_BYTES = 16;
const VERSION = 'v1.';

/**
 * Seals a secret with AES-256-GCM. `owner` (what the secret belongs to) is authenticated with it,
 * so that a sealed text moved to another row does not open there.
 */
export function seal(key: Buffer, owner: string, plain: string): string {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  cipher.setAAD(Buffer.from(owner));
  const body = Buffer.concat([cipher.update(plain, 'utf8'), cipher.final()]);
  return VERSION + Buffer.concat([nonce, cipher.getAuthTag(), body]).toString('base64url');
}

/** @throws HoldfastError `internal` when the key, the owner or the text is not what it was sealed with */
export function unseal(key: Buffer, owner: string, sealed: string): string {
  try {
    if (!sealed.startsWith(VERSION)) throw new Error('unknown version');
    const bytes = Buffer.from(sealed.slice(VERSION.length), 'base64url');
    const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE_BYTES), {
      authTagLength: TAG_BYTES,
    });
    decipher.setAAD(Buffer.from(owner));
    decipher.setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
    return (
      decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES), undefined, 'utf8') + decipher.final('utf8')
    );
  } catch (error) {
    throw new HoldfastError(
      'internal',
      `The secrets of ${owner} cannot be opened: HOLDFAST_SECRET_KEY (or secret.key in the data directory) is not the one they were sealed with.`,
      { cause: error },
    );
  }
}
