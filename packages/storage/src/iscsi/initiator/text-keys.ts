import { garbled } from './pdu.ts';

/** A key and its value as they go through login and text requests (RFC 7143 §6.1). */
export type TextPair = readonly [key: string, value: string];

const keyPattern = /^[A-Za-z][A-Za-z0-9.+@_-]{0,62}$/;
/** Longer than any value of the standard; CHAP challenges are the longest. */
const maxValueBytes = 8192;

/** The bytes of some pairs: `key=value` and a zero byte each. */
export function encodeTextPairs(pairs: readonly TextPair[]): Buffer {
  return Buffer.from(pairs.map(([key, value]) => `${key}=${value}\0`).join(''));
}

/** @throws HoldfastError `backend_unavailable` for text that is not made of pairs */
export function parseTextPairs(bytes: Buffer): TextPair[] {
  if (bytes.byteLength === 0) return [];
  const text = bytes.toString('utf8');
  if (!text.endsWith('\0')) throw garbled('a text that does not end');
  return text
    .slice(0, -1)
    .split('\0')
    .filter((pair) => pair !== '')
    .map((pair) => {
      const at = pair.indexOf('=');
      const key = pair.slice(0, Math.max(at, 0));
      const value = pair.slice(at + 1);
      if (!keyPattern.test(key)) throw garbled('a text without a proper key');
      if (value.length > maxValueBytes) throw garbled(`a value of ${value.length} characters for ${key}`);
      return [key, value];
    });
}

/** As `parseTextPairs`, for texts in which a key stands once. */
export function parseTextKeys(bytes: Buffer): Map<string, string> {
  const keys = new Map<string, string>();
  for (const [key, value] of parseTextPairs(bytes)) {
    if (keys.has(key)) throw garbled(`the key ${key} twice in one text`);
    keys.set(key, value);
  }
  return keys;
}
