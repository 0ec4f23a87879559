import { HoldfastError } from '@holdfast/contract/errors';

/** Request or response headers as Node gives them: names in lower case, repeated fields as a list. */
export type HeaderFields = Readonly<Record<string, string | string[] | undefined>>;

/** The fields in which a sender may name the SHA-256 of the bytes it sends. */
const expectedSha256Fields = ['x-expected-checksum-sha256', 'content-digest', 'repr-digest'] as const;

const sha256InBase64 = /^[A-Za-z0-9+/]{43}=?$/;
const sha256InHex = /^[0-9a-f]{64}$/i;

// RFC 9651 §3: a dictionary member is a key, then a bare item (without one it is true), then parameters.
const key = String.raw`[a-z*][a-z0-9_\-.*]*`;
const bareItem = [
  String.raw`:[A-Za-z0-9+/=]*:`,
  String.raw`"(?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"`,
  String.raw`\?[01]`,
  String.raw`-?\d{1,15}(?:\.\d{1,3})?`,
  String.raw`[A-Za-z*][A-Za-z0-9:/!#$%&'*+\-.^_\x60|~]*`,
].join('|');
const parameters = `(?:; *${key}(?:=(?:${bareItem}))?)*`;
const dictionaryMember = new RegExp(`(${key})(?:=(${bareItem}))?${parameters}`, 'y');
const memberSeparator = /[ \t]*,[ \t]*/y;

/** `sha-256=:<base64>:`, the value of Repr-Digest and Content-Digest (RFC 9530 §2, §3). */
export function reprDigest(hex: string): string {
  return `sha-256=:${toBase64(hex)}:`;
}

/** `SHA-256=<base64>`, the value of the older Digest field (RFC 3230 §4.3.2), which aria2 verifies. */
export function legacyDigest(hex: string): string {
  return `SHA-256=${toBase64(hex)}`;
}

/**
 * The sha-256 member of a Content-Digest or Repr-Digest field (RFC 9530 §2, a dictionary of RFC 9651), as
 * lower-case hex. Other algorithms are ignored; undefined when there is no sha-256 member. The last of several
 * counts (RFC 9651 §4.2.2).
 * @throws HoldfastError `invalid_request` that names `field`, when the value is malformed.
 */
export function parseDigestField(value: string, field: string): string | undefined {
  const text = value.replace(/^ +| +$/g, '');
  let found: string | undefined;
  let offset = 0;
  while (offset < text.length) {
    dictionaryMember.lastIndex = offset;
    const member = dictionaryMember.exec(text);
    if (member === null) throw malformed(field, `it cannot be read at character ${offset + 1}`);
    if (member[1] === 'sha-256') found = decodeSha256(member[2], field);
    offset = dictionaryMember.lastIndex;
    if (offset === text.length) break;
    memberSeparator.lastIndex = offset;
    if (!memberSeparator.test(text) || memberSeparator.lastIndex === text.length) {
      throw malformed(field, `it cannot be read at character ${offset + 1}`);
    }
    offset = memberSeparator.lastIndex;
  }
  return found;
}

/**
 * The SHA-256 that the sender says the bytes have, as lower-case hex, from `X-Expected-Checksum-SHA256` (hex in
 * either case), `Content-Digest` or `Repr-Digest`; undefined when none of them names one.
 * @throws HoldfastError `invalid_request` when a field is malformed or two of them disagree.
 */
export function expectedSha256(headers: HeaderFields): string | undefined {
  let found: { field: string; hex: string } | undefined;
  for (const field of expectedSha256Fields) {
    const value = headers[field];
    if (value === undefined) continue;
    const text = Array.isArray(value) ? value.join(', ') : value;
    const hex =
      field === 'x-expected-checksum-sha256' ? parseHexField(text, field) : parseDigestField(text, field);
    if (hex === undefined) continue;
    if (found !== undefined && found.hex !== hex) {
      const message = `The fields ${found.field} and ${field} name different SHA-256 checksums; send one of them, or the same checksum in both.`;
      throw new HoldfastError('invalid_request', message, { errors: [{ field, message }] });
    }
    found ??= { field, hex };
  }
  return found?.hex;
}

function toBase64(hex: string): string {
  return Buffer.from(hex, 'hex').toString('base64');
}

function decodeSha256(item: string | undefined, field: string): string {
  const inner = item?.startsWith(':') === true ? item.slice(1, -1) : undefined;
  if (inner === undefined || !sha256InBase64.test(inner)) {
    throw malformed(field, 'its sha-256 member is not the base64 of 32 bytes between colons');
  }
  return Buffer.from(inner, 'base64').toString('hex');
}

function parseHexField(value: string, field: string): string {
  const text = value.trim();
  if (!sha256InHex.test(text)) {
    const message = `The field ${field} must be one SHA-256 of 64 hexadecimal digits.`;
    throw new HoldfastError('invalid_request', message, { errors: [{ field, message }] });
  }
  return text.toLowerCase();
}

function malformed(field: string, why: string): HoldfastError {
  const message = `The field ${field} is malformed: ${why}. It must look like sha-256=:<base64>: with a lower-case name.`;
  return new HoldfastError('invalid_request', message, { errors: [{ field, message }] });
}
