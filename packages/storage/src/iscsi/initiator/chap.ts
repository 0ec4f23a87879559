import { createHash } from 'node:crypto';
import { garbled } from './pdu.ts';

/** Name and secret for CHAP (RFC 1994). */
export interface ChapCredentials {
  username: string;
  password: string;
}

/** The algorithm number of MD5, the one that every target has (RFC 7143 §12.1.3). */
export const CHAP_MD5 = '5';

/** A binary value as the text forms allow it: 0x hexadecimal, or 0b base64 (RFC 7143 §6.1). */
function decodeBinaryValue(value: string, key: string): Buffer {
  if (/^0[xX](?:[0-9a-fA-F]{2})+$/.test(value)) return Buffer.from(value.slice(2), 'hex');
  if (/^0[bB][A-Za-z0-9+/]+={0,2}$/.test(value)) return Buffer.from(value.slice(2), 'base64');
  throw garbled(`a ${key} that is neither hexadecimal nor base64`);
}

/** The answer to a challenge: MD5 of identifier, secret and challenge (RFC 1994 §4.1), in hexadecimal. */
export function chapResponse(identifier: number, password: string, challenge: Uint8Array): string {
  const hash = createHash('md5').update(Uint8Array.of(identifier)).update(password).update(challenge);
  return `0x${hash.digest('hex')}`;
}

/** Reads what the target sends as its challenge. @throws HoldfastError `backend_unavailable` when it is malformed */
export function parseChallenge(keys: ReadonlyMap<string, string>): { identifier: number; challenge: Buffer } {
  const identifier = keys.get('CHAP_I');
  const challenge = keys.get('CHAP_C');
  if (keys.get('CHAP_A') !== CHAP_MD5) throw garbled('a CHAP algorithm that was not offered');
  if (identifier === undefined || challenge === undefined)
    throw garbled('a CHAP challenge that is not complete');
  if (!/^\d{1,3}$/.test(identifier) || Number(identifier) > 255)
    throw garbled('a CHAP identifier out of range');
  return { identifier: Number(identifier), challenge: decodeBinaryValue(challenge, 'CHAP_C') };
}
