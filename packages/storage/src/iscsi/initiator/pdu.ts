import { HoldfastError } from '@holdfast/contract/errors';

/** Bytes of a basic header segment (RFC 7143 §11.2.1). */
export const HEADER_BYTES = 48;
/** A tag that stands for none. */
export const NO_TAG = 0xffff_ffff;

const opcodes = {
  nopOut: 0x00,
  scsiCommand: 0x01,
  taskManagement: 0x02,
  login: 0x03,
  text: 0x04,
  dataOut: 0x05,
  logout: 0x06,
  nopIn: 0x20,
  scsiResponse: 0x21,
  taskManagementResponse: 0x22,
  loginResponse: 0x23,
  textResponse: 0x24,
  dataIn: 0x25,
  logoutResponse: 0x26,
  r2t: 0x31,
  asyncMessage: 0x32,
  reject: 0x3f,
} as const;
const immediate = 0x40;

/** A PDU on its way to the target: its header, and its data without padding. */
export interface OutgoingPdu {
  header: Buffer;
  data: Uint8Array;
}

const noData = new Uint8Array(0);

function pdu(opcode: number, flags: number, tag: number, data: Uint8Array = noData): OutgoingPdu {
  const header = Buffer.alloc(HEADER_BYTES);
  header[0] = opcode;
  header[1] = flags;
  header.writeUIntBE(data.byteLength, 5, 3);
  header.writeUInt32BE(tag, 16);
  return { header, data };
}

/** The numbers that every request carries. */
export interface SequenceNumbers {
  cmdSn: number;
  expStatSn: number;
}

function numbered(made: OutgoingPdu, { cmdSn, expStatSn }: SequenceNumbers): OutgoingPdu {
  made.header.writeUInt32BE(cmdSn, 24);
  made.header.writeUInt32BE(expStatSn, 28);
  return made;
}

/** RFC 7143 §11.12. `isid` has six bytes. */
export function loginRequest(fields: {
  transit: boolean;
  currentStage: number;
  nextStage: number;
  isid: Uint8Array;
  tag: number;
  sequence: SequenceNumbers;
  data: Uint8Array;
}): OutgoingPdu {
  const { transit, currentStage, nextStage } = fields;
  const flags = (transit ? 0x80 : 0) | (currentStage << 2) | (transit ? nextStage : 0);
  const made = pdu(opcodes.login | immediate, flags, fields.tag, fields.data);
  made.header.set(fields.isid.subarray(0, 6), 8);
  return numbered(made, fields.sequence);
}

/** RFC 7143 §11.10. */
export function textRequest(fields: {
  tag: number;
  targetTag: number;
  sequence: SequenceNumbers;
  data: Uint8Array;
}): OutgoingPdu {
  const made = pdu(opcodes.text, 0x80, fields.tag, fields.data);
  made.header.writeUInt32BE(fields.targetTag, 20);
  return numbered(made, fields.sequence);
}

/** RFC 7143 §11.3. `data` is immediate data; `final` says that no unsolicited data follows. */
export function scsiCommand(fields: {
  lun: Uint8Array;
  tag: number;
  direction: 'none' | 'read' | 'write';
  final: boolean;
  /** Bytes to be moved. */
  expectedLength: number;
  cdb: Uint8Array;
  sequence: SequenceNumbers;
  data?: Uint8Array;
}): OutgoingPdu {
  const direction = { none: 0, read: 0x40, write: 0x20 }[fields.direction];
  const simpleTask = 1;
  const made = pdu(
    opcodes.scsiCommand,
    (fields.final ? 0x80 : 0) | direction | simpleTask,
    fields.tag,
    fields.data,
  );
  made.header.set(fields.lun, 8);
  made.header.writeUInt32BE(fields.expectedLength, 20);
  made.header.set(fields.cdb, 32);
  return numbered(made, fields.sequence);
}

/** RFC 7143 §11.7. */
export function dataOut(fields: {
  lun: Uint8Array;
  tag: number;
  targetTag: number;
  final: boolean;
  expStatSn: number;
  dataSn: number;
  bufferOffset: number;
  data: Uint8Array;
}): OutgoingPdu {
  const made = pdu(opcodes.dataOut, fields.final ? 0x80 : 0, fields.tag, fields.data);
  made.header.set(fields.lun, 8);
  made.header.writeUInt32BE(fields.targetTag, 20);
  made.header.writeUInt32BE(fields.expStatSn, 28);
  made.header.writeUInt32BE(fields.dataSn, 36);
  made.header.writeUInt32BE(fields.bufferOffset, 40);
  return made;
}

/** RFC 7143 §11.18: a ping (with a tag of ours), or the answer to one (with the target's tag). Always immediate. */
export function nopOut(fields: {
  lun?: Uint8Array;
  tag: number;
  targetTag: number;
  sequence: SequenceNumbers;
  data?: Uint8Array;
}): OutgoingPdu {
  const made = pdu(opcodes.nopOut | immediate, 0x80, fields.tag, fields.data);
  if (fields.lun !== undefined) made.header.set(fields.lun, 8);
  made.header.writeUInt32BE(fields.targetTag, 20);
  return numbered(made, fields.sequence);
}

/** RFC 7143 §11.5, ABORT TASK. Always immediate. */
export function abortTask(fields: {
  lun: Uint8Array;
  tag: number;
  referencedTag: number;
  referencedCmdSn: number;
  sequence: SequenceNumbers;
}): OutgoingPdu {
  const made = pdu(opcodes.taskManagement | immediate, 0x80 | 1, fields.tag);
  made.header.set(fields.lun, 8);
  made.header.writeUInt32BE(fields.referencedTag, 20);
  made.header.writeUInt32BE(fields.referencedCmdSn, 32);
  return numbered(made, fields.sequence);
}

/** RFC 7143 §11.14: closes the session. Always immediate. */
export function logoutRequest(fields: { tag: number; sequence: SequenceNumbers }): OutgoingPdu {
  return numbered(pdu(opcodes.logout | immediate, 0x80, fields.tag), fields.sequence);
}

interface FromTarget {
  statSn: number;
  expCmdSn: number;
  maxCmdSn: number;
  /** The initiator's tag of the request that this belongs to. */
  tag: number;
  data: Buffer;
}

/** What a target says, as far as an initiator needs it. */
export type TargetPdu =
  | (FromTarget & { type: 'nop-in'; targetTag: number; lun: Buffer })
  | (FromTarget & {
      type: 'scsi-response';
      response: number;
      status: number;
      residual: number;
      isOverflow: boolean;
    })
  | (FromTarget & { type: 'task-management-response'; response: number })
  | (FromTarget & {
      type: 'login-response';
      transit: boolean;
      hasMore: boolean;
      currentStage: number;
      nextStage: number;
      isid: Buffer;
      tsih: number;
      statusClass: number;
      statusDetail: number;
    })
  | (FromTarget & { type: 'text-response'; final: boolean; hasMore: boolean; targetTag: number })
  | (FromTarget & {
      type: 'data-in';
      final: boolean;
      /** Set when the command ends with this PDU. */
      status: number | undefined;
      residual: number;
      dataSn: number;
      bufferOffset: number;
    })
  | (FromTarget & { type: 'logout-response'; response: number })
  | (FromTarget & {
      type: 'r2t';
      targetTag: number;
      r2tSn: number;
      bufferOffset: number;
      desiredLength: number;
    })
  | (FromTarget & { type: 'async-message'; event: number; seconds: number })
  | (FromTarget & { type: 'reject'; reason: number });

/** The error for bytes that no working target sends: the connection is dropped for it. */
export function garbled(what: string): HoldfastError {
  return new HoldfastError(
    'backend_unavailable',
    `The iSCSI target sent something that breaks the protocol: ${what}. The connection was dropped; check the network ` +
      'and the target.',
  );
}

/**
 * Reads a target's PDU. Lengths and offsets in it are as the wire says: whoever uses them checks them.
 * @param header 48 bytes
 * @throws HoldfastError `backend_unavailable` for an opcode that a target does not send
 */
export function decodeTargetPdu(header: Buffer, data: Buffer): TargetPdu {
  const flags = header[1] ?? 0;
  const u32 = (offset: number): number => header.readUInt32BE(offset);
  const common: FromTarget = {
    statSn: u32(24),
    expCmdSn: u32(28),
    maxCmdSn: u32(32),
    tag: u32(16),
    data,
  };
  const residualOf = (): number => ((flags & 0x02) === 0 ? 0 : u32(44));
  const opcode = (header[0] ?? 0) & 0x3f;
  switch (opcode) {
    case opcodes.nopIn:
      return { ...common, type: 'nop-in', targetTag: u32(20), lun: header.subarray(8, 16) };
    case opcodes.scsiResponse:
      return {
        ...common,
        type: 'scsi-response',
        response: header[2] ?? 0,
        status: header[3] ?? 0,
        residual: residualOf(),
        isOverflow: (flags & 0x04) !== 0,
      };
    case opcodes.taskManagementResponse:
      return { ...common, type: 'task-management-response', response: header[2] ?? 0 };
    case opcodes.loginResponse:
      return {
        ...common,
        type: 'login-response',
        transit: (flags & 0x80) !== 0,
        hasMore: (flags & 0x40) !== 0,
        currentStage: (flags >> 2) & 3,
        nextStage: flags & 3,
        isid: header.subarray(8, 14),
        tsih: header.readUInt16BE(14),
        statusClass: header[36] ?? 0,
        statusDetail: header[37] ?? 0,
      };
    case opcodes.textResponse:
      return {
        ...common,
        type: 'text-response',
        final: (flags & 0x80) !== 0,
        hasMore: (flags & 0x40) !== 0,
        targetTag: u32(20),
      };
    case opcodes.dataIn:
      return {
        ...common,
        type: 'data-in',
        final: (flags & 0x80) !== 0,
        status: (flags & 0x01) === 0 ? undefined : (header[3] ?? 0),
        residual: residualOf(),
        dataSn: u32(36),
        bufferOffset: u32(40),
      };
    case opcodes.logoutResponse:
      return { ...common, type: 'logout-response', response: header[2] ?? 0 };
    case opcodes.r2t:
      return {
        ...common,
        type: 'r2t',
        targetTag: u32(20),
        r2tSn: u32(36),
        bufferOffset: u32(40),
        desiredLength: u32(44),
      };
    case opcodes.asyncMessage:
      return { ...common, type: 'async-message', event: header[36] ?? 0, seconds: header.readUInt16BE(42) };
    case opcodes.reject:
      return { ...common, type: 'reject', reason: header[2] ?? 0 };
    default:
      throw garbled(`a message of kind 0x${opcode.toString(16)}`);
  }
}
