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
  return sha256OfHex(Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join(''));
}

/** Both forms of a SHA-256 that is known in lower-case hex. */
export function sha256OfHex(hex: string): Sha256 {
  const digest = Array.from({ length: hex.length / 2 }, (_, at) =>
    Number.parseInt(hex.slice(2 * at, 2 * at + 2), 16),
  );
  return { hex, base64: btoa(String.fromCharCode(...digest)) };
}
