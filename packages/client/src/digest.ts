import { HoldfastError } from '@holdfast/contract/errors';

/** A SHA-256 in the two forms that HTTP headers and Holdfast use. */
export interface Sha256 {
  hex: string;
  base64: string;
}

/**
 * The SHA-256 of bytes, computed beside the event loop.
 * @throws HoldfastError `not_supported` in a browser's page that was not loaded over https
 */
export async function sha256Of(bytes: Uint8Array<ArrayBuffer>): Promise<Sha256> {
  // Browsers keep WebCrypto from pages of insecure origins (https://www.w3.org/TR/webcrypto/#crypto-interface).
  if (!('subtle' in crypto)) {
    throw new HoldfastError(
      'not_supported',
      'This page cannot compute checksums, because it was not loaded securely. Open it over https, or from localhost.',
    );
  }
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return {
    hex: Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join(''),
    base64: btoa(String.fromCharCode(...digest)),
  };
}
