/** The network block device protocol, fixed newstyle with simple replies (NetworkBlockDevice, doc/proto.md). */
export const nbd = {
  initMagic: Buffer.from('NBDMAGICIHAVEOPT'),
  replyMagic: Buffer.from('0003e889045565a9', 'hex'),
  handshakeFlags: { fixedNewstyle: 1, noZeroes: 2 },
  option: { exportName: 1, abort: 2, info: 6, go: 7 },
  reply: { ack: 1, info: 3, unsupported: 0x8000_0001, invalid: 0x8000_0003 },
  info: { export: 0, blockSize: 3 },
  transmissionFlags: {
    hasFlags: 1,
    readOnly: 2,
    sendFlush: 4,
    sendFua: 8,
    sendWriteZeroes: 64,
    multiConnection: 256,
  },
  command: { read: 0, write: 1, disconnect: 2, flush: 3, writeZeroes: 6 },
  commandFlags: { fua: 1 },
} as const;

const requestMagic = 0x25609513;
const simpleReplyMagic = 0x67446698;

export const OPTION_HEADER_BYTES = 16;
export const REQUEST_BYTES = 28;
/** More than any client of ours asks for at once. */
const MAX_REQUEST_BYTES = 32 * 1024 * 1024;

export interface NbdOption {
  option: number;
  length: number;
}

/** Undefined when the bytes are no option. */
export function decodeOption(header: Buffer): NbdOption | undefined {
  if (!header.subarray(0, 8).equals(nbd.initMagic.subarray(8))) return undefined;
  return { option: header.readUInt32BE(8), length: header.readUInt32BE(12) };
}

export function optionReply(option: number, type: number, data: Buffer = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(20);
  nbd.replyMagic.copy(header);
  header.writeUInt32BE(option, 8);
  header.writeUInt32BE(type, 12);
  header.writeUInt32BE(data.byteLength, 16);
  return Buffer.concat([header, data]);
}

/** Size and flags: the body of NBD_INFO_EXPORT without its type, and the answer to NBD_OPT_EXPORT_NAME. */
export function exportFields(sizeBytes: number, flags: number): Buffer {
  const fields = Buffer.alloc(10);
  fields.writeBigUInt64BE(BigInt(sizeBytes));
  fields.writeUInt16BE(flags, 8);
  return fields;
}

export function exportInfo(sizeBytes: number, flags: number): Buffer {
  const type = Buffer.alloc(2);
  type.writeUInt16BE(nbd.info.export);
  return Buffer.concat([type, exportFields(sizeBytes, flags)]);
}

export function blockSizeInfo(blockBytes: number): Buffer {
  const info = Buffer.alloc(14);
  info.writeUInt16BE(nbd.info.blockSize);
  info.writeUInt32BE(blockBytes, 2);
  info.writeUInt32BE(Math.max(blockBytes, 4096), 6);
  info.writeUInt32BE(MAX_REQUEST_BYTES, 10);
  return info;
}

export interface NbdRequest {
  flags: number;
  command: number;
  cookie: Buffer;
  position: number;
  length: number;
}

/** Undefined when the bytes are no request. */
export function decodeRequest(bytes: Buffer): NbdRequest | undefined {
  const position = bytes.readBigUInt64BE(16);
  const length = bytes.readUInt32BE(24);
  const command = bytes.readUInt16BE(6);
  const isSound = bytes.readUInt32BE(0) === requestMagic && position <= Number.MAX_SAFE_INTEGER;
  // Zeroes are only counted, not sent: there may be more of them.
  if (!isSound || (length > MAX_REQUEST_BYTES && command !== nbd.command.writeZeroes)) return undefined;
  return {
    flags: bytes.readUInt16BE(4),
    command,
    cookie: bytes.subarray(8, 16),
    position: Number(position),
    length,
  };
}

/** @param error an errno number, 0 for success */
export function simpleReply(cookie: Buffer, error: number): Buffer {
  const reply = Buffer.alloc(16);
  reply.writeUInt32BE(simpleReplyMagic);
  reply.writeUInt32BE(error, 4);
  cookie.copy(reply, 8);
  return reply;
}
