import { isUtf8 } from 'node:buffer';

/** Opcodes of RFC 1350 §5 and RFC 2347 (6, OACK). */
export const opcodes = { read: 1, write: 2, data: 3, ack: 4, error: 5, oack: 6 } as const;

/** Error codes of RFC 1350 §5 and RFC 2347 (8). */
export const errorCodes = {
  undefined: 0,
  fileNotFound: 1,
  accessViolation: 2,
  diskFull: 3,
  illegalOperation: 4,
  unknownTransfer: 5,
  fileExists: 6,
  noSuchUser: 7,
  optionRefused: 8,
} as const;

/** One option as it stands on the wire: the name as the sender spelt it, and its value. */
export interface TftpOption {
  name: string;
  value: string;
}

/** A request to read or write a file. */
export interface RequestPacket {
  kind: 'read' | 'write';
  /** As the client sent it: any UTF-8, not yet a safe path. */
  filename: string;
  /** In lower case. Not yet known to be one that is served. */
  mode: string;
  options: TftpOption[];
}

/** Any datagram. `malformed` says why, and which opcode it carried when it had one. */
export type Packet =
  | RequestPacket
  | { kind: 'data'; block: number; payload: Uint8Array }
  | { kind: 'ack'; block: number }
  | { kind: 'error'; code: number; message: string }
  | { kind: 'oack'; options: TftpOption[] }
  | { kind: 'malformed'; opcode: number | undefined; reason: string };

/** Bytes before the payload of a DATA packet. */
export const DATA_HEADER_BYTES = 4;
/** RFC 2347 allows 512; longer requests with long paths are seen, so what fits an Ethernet frame is taken. */
export const MAX_REQUEST_BYTES = 1468;
/** Bytes of an error message that are read or sent. */
const MAX_MESSAGE_BYTES = 256;

/** Parses any datagram; never throws. The payload of `data` is a view into it. */
export function parsePacket(datagram: Uint8Array): Packet {
  if (datagram.length < 2)
    return { kind: 'malformed', opcode: undefined, reason: 'It is shorter than an opcode.' };
  const bytes = Buffer.from(datagram.buffer, datagram.byteOffset, datagram.byteLength);
  const opcode = bytes.readUInt16BE(0);
  const malformed = (reason: string): Packet => ({ kind: 'malformed', opcode, reason });
  switch (opcode) {
    case opcodes.read:
    case opcodes.write:
      return parseRequest(bytes, opcode === opcodes.read ? 'read' : 'write') ?? malformed(requestRule);
    case opcodes.data:
      if (bytes.length < DATA_HEADER_BYTES) return malformed('A DATA packet needs a block number.');
      return { kind: 'data', block: bytes.readUInt16BE(2), payload: bytes.subarray(DATA_HEADER_BYTES) };
    case opcodes.ack:
      if (bytes.length !== 4) return malformed('An ACK has exactly 4 bytes.');
      return { kind: 'ack', block: bytes.readUInt16BE(2) };
    case opcodes.error:
      if (bytes.length < 4) return malformed('An ERROR packet needs a code.');
      return { kind: 'error', code: bytes.readUInt16BE(2), message: errorMessage(bytes) };
    case opcodes.oack: {
      const fields = readFields(bytes, 2);
      const options = fields === undefined ? undefined : pairOptions(fields);
      return options === undefined
        ? malformed('The options of an OACK come in pairs.')
        : { kind: 'oack', options };
    }
    default:
      return malformed(`Opcode ${opcode} is not one of TFTP.`);
  }
}

/**
 * The block number of an ACK, or -1 for any other datagram: the one packet that a server reads all the time,
 * without an allocation.
 */
export function ackBlock(datagram: Uint8Array): number {
  const [high, low, blockHigh, blockLow] = datagram;
  if (datagram.length !== 4 || high !== 0 || low !== opcodes.ack) return -1;
  return ((blockHigh ?? 0) << 8) | (blockLow ?? 0);
}

/** A read or write request. Names and values must not contain a NUL. */
export function encodeRequest(
  kind: 'read' | 'write',
  filename: string,
  mode: string,
  options: readonly TftpOption[] = [],
): Buffer {
  return Buffer.concat([head(opcodes[kind]), encodeFields([filename, mode]), encodeOptions(options)]);
}

/** The option acknowledgement of RFC 2347. */
export function encodeOack(options: readonly TftpOption[]): Buffer {
  return Buffer.concat([head(opcodes.oack), encodeOptions(options)]);
}

/** @param block any block number; its low 16 bits go on the wire. */
export function encodeAck(block: number): Buffer {
  return Buffer.from([0, opcodes.ack, (block >> 8) & 0xff, block & 0xff]);
}

/** The message is cut to 256 bytes, and what is not printable ASCII becomes `?` (RFC 1350: netascii). */
export function encodeError(code: number, message: string): Buffer {
  const text = message.replaceAll(/[^\u0020-\u007e]/g, '?').slice(0, MAX_MESSAGE_BYTES);
  const start = Buffer.from([0, opcodes.error, (code >> 8) & 0xff, code & 0xff]);
  return Buffer.concat([start, Buffer.from(`${text}\0`, 'latin1')]);
}

/** A DATA packet in one piece, for clients and tests; the server sends header and payload as two pieces. */
export function encodeData(block: number, payload: Uint8Array): Buffer {
  const packet = Buffer.allocUnsafe(DATA_HEADER_BYTES + payload.length);
  writeDataHeader(packet, block);
  packet.set(payload, DATA_HEADER_BYTES);
  return packet;
}

/** Writes the header of a DATA packet; block numbers past 65535 roll over to 0. */
export function writeDataHeader(target: Buffer, block: number): void {
  target[0] = 0;
  target[1] = opcodes.data;
  target[2] = (block >> 8) & 0xff;
  target[3] = block & 0xff;
}

const requestRule =
  'A request is a file name, a mode and pairs of options, each in UTF-8 and ended by a NUL, ' +
  `in at most ${MAX_REQUEST_BYTES} bytes.`;

function parseRequest(bytes: Buffer, kind: 'read' | 'write'): RequestPacket | undefined {
  if (bytes.length > MAX_REQUEST_BYTES) return undefined;
  const fields = readFields(bytes, 2);
  const [filename, mode, ...rest] = fields ?? [];
  if (filename === undefined || filename === '' || mode === undefined || mode === '') return undefined;
  const options = pairOptions(rest);
  return options === undefined ? undefined : { kind, filename, mode: mode.toLowerCase(), options };
}

/** The NUL-ended texts from an offset to the end; undefined when the last one has no end or one is not UTF-8. */
function readFields(bytes: Buffer, offset: number): string[] | undefined {
  const fields: string[] = [];
  for (let start = offset; start < bytes.length;) {
    const end = bytes.indexOf(0, start);
    if (end < 0) return undefined;
    const field = bytes.subarray(start, end);
    if (!isUtf8(field)) return undefined;
    fields.push(field.toString('utf8'));
    start = end + 1;
  }
  return fields;
}

function pairOptions(fields: readonly string[]): TftpOption[] | undefined {
  const options: TftpOption[] = [];
  for (let index = 0; index < fields.length; index += 2) {
    const name = fields[index];
    const value = fields[index + 1];
    // Boot ROMs that pad a request to a fixed size fill it with NULs.
    if (name === undefined || name === '')
      return fields.slice(index).every((field) => field === '') ? options : undefined;
    if (value === undefined) return undefined;
    options.push({ name, value });
  }
  return options;
}

/** Some clients leave out the NUL at the end, so the message is what there is. */
function errorMessage(bytes: Buffer): string {
  const end = bytes.indexOf(0, 4);
  const text = bytes.toString('latin1', 4, Math.min(end < 0 ? bytes.length : end, 4 + MAX_MESSAGE_BYTES));
  return text.replaceAll(/[^\u0020-\u007e]/g, '?');
}

function head(opcode: number): Buffer {
  return Buffer.from([0, opcode]);
}

function encodeFields(fields: readonly string[]): Buffer {
  return Buffer.from(fields.map((field) => `${field}\0`).join(''), 'utf8');
}

function encodeOptions(options: readonly TftpOption[]): Buffer {
  return encodeFields(options.flatMap(({ name, value }) => [name, value]));
}
