/** PDUs as a target sends them, for tests of what reads them: header fields by their place (RFC 7143 §11). */
export function targetPdu(fields: {
  opcode: number;
  flags?: number;
  tag?: number;
  statSn?: number;
  expCmdSn?: number;
  maxCmdSn?: number;
  /** Further numbers of 32 bits by their offset. */
  words?: Record<number, number>;
  /** Further bytes by their offset. */
  bytes?: Record<number, number>;
  dataLength?: number;
}): Buffer {
  const header = Buffer.alloc(48);
  header[0] = fields.opcode;
  header[1] = fields.flags ?? 0;
  header.writeUIntBE(fields.dataLength ?? 0, 5, 3);
  const words = {
    16: fields.tag,
    24: fields.statSn,
    28: fields.expCmdSn,
    32: fields.maxCmdSn,
    ...fields.words,
  };
  for (const [offset, word] of Object.entries(words)) header.writeUInt32BE(word ?? 0, Number(offset));
  for (const [offset, byte] of Object.entries(fields.bytes ?? {})) header[Number(offset)] = byte;
  return header;
}
