import { sha256Hex } from '@holdfast/bytes/sha256';

/**
 * The id of a read-only server that has no marker file: made from its address, so that the same server is known again,
 * in the form of a UUID of version 8 (RFC 9562 §5.8).
 */
export function derivedVolumeId(baseUrl: URL): string {
  const hex = sha256Hex(`holdfast http volume ${baseUrl.href}`);
  const variant = ((Number.parseInt(hex.slice(16, 17), 16) & 0x3) | 0x8).toString(16);
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `${variant}${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join('-');
}
