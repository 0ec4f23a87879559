import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  ackBlock,
  encodeAck,
  encodeData,
  encodeError,
  encodeOack,
  encodeRequest,
  MAX_REQUEST_BYTES,
  parsePacket,
} from './packets.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

describe('the bytes of RFC 1350, 2347', () => {
  test('a read request with options', () => {
    const bytes = Buffer.from(
      '\0\x01grub/x.efi\0octet\0tsize\x000\0blksize\x001468\0windowsize\x004\0',
      'latin1',
    );
    const options = [
      { name: 'tsize', value: '0' },
      { name: 'blksize', value: '1468' },
      { name: 'windowsize', value: '4' },
    ];
    expect(encodeRequest('read', 'grub/x.efi', 'octet', options)).toEqual(bytes);
    expect(parsePacket(bytes)).toEqual({ kind: 'read', filename: 'grub/x.efi', mode: 'octet', options });
  });

  test('a write request, its mode in any case', () => {
    expect(parsePacket(Buffer.from('\0\x02a\0NetASCII\0', 'latin1'))).toEqual({
      kind: 'write',
      filename: 'a',
      mode: 'netascii',
      options: [],
    });
  });

  test('DATA, ACK, ERROR and OACK', () => {
    expect(encodeData(0x12345, Buffer.from('ab'))).toEqual(hex('0003 2345 6162'));
    expect(parsePacket(hex('0003 2345 6162'))).toEqual({
      kind: 'data',
      block: 0x2345,
      payload: Buffer.from('ab'),
    });
    expect(encodeAck(65536)).toEqual(hex('0004 0000'));
    expect(parsePacket(hex('0004 ffff'))).toEqual({ kind: 'ack', block: 65535 });
    expect(encodeError(1, 'No é')).toEqual(hex('0005 0001 4e6f203f 00'));
    expect(parsePacket(hex('0005 0008 4e6f 00'))).toEqual({ kind: 'error', code: 8, message: 'No' });
    expect(encodeOack([{ name: 'blksize', value: '8' }])).toEqual(
      Buffer.from('\0\x06blksize\x008\0', 'latin1'),
    );
    expect(parsePacket(Buffer.from('\0\x06tsize\x0012\0', 'latin1'))).toEqual({
      kind: 'oack',
      options: [{ name: 'tsize', value: '12' }],
    });
  });
});

test('an ERROR without its last NUL is understood, as some clients leave it out', () => {
  expect(parsePacket(hex('0005 0000 4e6f'))).toEqual({ kind: 'error', code: 0, message: 'No' });
  expect(parsePacket(hex('0005 0000'))).toEqual({ kind: 'error', code: 0, message: '' });
});

test('NULs after a request are padding', () => {
  const padded = Buffer.from('\0\x01a\0octet\0tsize\x000\0\0\0\0', 'latin1');
  expect(parsePacket(padded)).toMatchObject({ kind: 'read', options: [{ name: 'tsize', value: '0' }] });
});

test.each([
  ['nothing', ''],
  ['half an opcode', '00'],
  ['an unknown opcode', '0007 0000'],
  ['a request without a mode', '0001 6100'],
  ['a request without a name', '0001 00 6f6374657400'],
  ['a request without an end', '0001 6100 6f63746574'],
  ['an option without a value', '0001 6100 6f6374657400 7473697a6500'],
  ['an option after an empty one', '0001 6100 6f6374657400 00 6100'],
  ['a name that is not UTF-8', '0001 ff00 6f6374657400'],
  ['DATA without a block', '0003 00'],
  ['a short ACK', '0004 00'],
  ['a long ACK', '0004 0000 00'],
  ['an ERROR without a code', '0005 00'],
  ['an OACK with half an option', '0006 6100'],
])('%s is malformed', (_, bytes) => {
  expect(parsePacket(hex(bytes)).kind).toBe('malformed');
});

test('a request that is too long is malformed', () => {
  const longest = encodeRequest('read', 'x'.repeat(MAX_REQUEST_BYTES - 9), 'octet');
  expect(longest.length).toBe(MAX_REQUEST_BYTES);
  expect(parsePacket(longest).kind).toBe('read');
  expect(parsePacket(encodeRequest('read', 'x'.repeat(MAX_REQUEST_BYTES - 8), 'octet')).kind).toBe(
    'malformed',
  );
});

test('any datagram parses, and the short cut for ACKs agrees with the parser', () => {
  const start = fc.constantFrom([], [0, 1], [0, 2], [0, 3], [0, 4], [0, 5], [0, 6]);
  fc.assert(
    fc.property(start, fc.uint8Array({ maxLength: 64 }), (opcode, rest) => {
      const datagram = Uint8Array.from([...opcode, ...rest]);
      const packet = parsePacket(datagram);
      expect(ackBlock(datagram)).toBe(packet.kind === 'ack' ? packet.block : -1);
    }),
    { numRuns: 2000 },
  );
});

test('what is encoded is parsed back', () => {
  const text = fc
    .string({ minLength: 1, maxLength: 60, unit: 'grapheme' })
    .filter((value) => !value.includes('\0'));
  const wellFormed = text.filter((value) => value.isWellFormed());
  const options = fc.array(fc.record({ name: wellFormed, value: wellFormed }), { maxLength: 5 });
  fc.assert(
    fc.property(wellFormed, wellFormed, options, (filename, mode, list) => {
      const packet = encodeRequest('read', filename, mode, list);
      fc.pre(packet.length <= MAX_REQUEST_BYTES);
      expect(parsePacket(packet)).toEqual({
        kind: 'read',
        filename,
        mode: mode.toLowerCase(),
        options: list,
      });
    }),
  );
});

test('an error message is cut and kept printable', () => {
  const packet = encodeError(0, `\n${'x'.repeat(1000)}`);
  expect(packet.length).toBe(4 + 256 + 1);
  expect(packet.toString('latin1', 4, 6)).toBe('?x');
});
