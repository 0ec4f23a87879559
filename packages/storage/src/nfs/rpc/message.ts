import { GarbledReply } from '../xdr/garbled.ts';
import { XdrReader } from '../xdr/reader.ts';
import { XdrWriter } from '../xdr/writer.ts';

const MESSAGE_CALL = 0;
const MESSAGE_REPLY = 1;
const RPC_VERSION = 2;
const AUTH_NONE = 0;
const AUTH_SYS = 1;
/** Of a credential or verifier (RFC 5531 §8.2). */
const MAX_AUTH_BYTES = 400;
/** RFC 5531 appendix A. */
const MAX_MACHINE_BYTES = 255;
const MAX_GROUPS = 16;

/** Who calls (AUTH_SYS, RFC 5531 appendix A): numbers that the server takes on trust. */
export interface RpcCredential {
  machine: string;
  uid: number;
  gid: number;
  groups: readonly number[];
}

/** A procedure and the way to write its arguments. */
export interface RpcRequest {
  program: number;
  version: number;
  procedure: number;
  write?: (writer: XdrWriter) => void;
  /** Where a large reply is put, when it fits. Nobody else may use it until the call has settled. */
  replyBuffer?: Buffer;
}

/** What became of a call, before the procedure itself is looked at. */
export type RpcReply =
  | { kind: 'success'; results: XdrReader }
  | { kind: 'versionMismatch'; lowest: number; highest: number }
  | { kind: 'programMissing' }
  | { kind: 'procedureMissing' }
  | { kind: 'garbledArguments' }
  | { kind: 'serverFault' }
  | { kind: 'denied'; authStatus: number };

/** The message of a call, with the mark of its single fragment before it. */
export function renderCall(xid: number, credential: RpcCredential, request: RpcRequest): Uint8Array[] {
  const writer = new XdrWriter();
  writer.u32(xid).u32(MESSAGE_CALL).u32(RPC_VERSION);
  writer.u32(request.program).u32(request.version).u32(request.procedure);
  writer.u32(AUTH_SYS).opaque(renderCredential(credential));
  writer.u32(AUTH_NONE).u32(0);
  request.write?.(writer);
  const segments = writer.segments();
  const mark = Buffer.allocUnsafe(4);
  const length = segments.reduce((sum, segment) => sum + segment.byteLength, 0);
  mark.writeUInt32BE(0x8000_0000 + length);
  return [mark, ...segments];
}

function renderCredential({ machine, uid, gid, groups }: RpcCredential): Buffer {
  const name = Buffer.from(machine).subarray(0, MAX_MACHINE_BYTES);
  const writer = new XdrWriter().u32(0).opaque(name).u32(uid).u32(gid);
  return writer.list(groups.slice(0, MAX_GROUPS), (group) => writer.u32(group)).bytes();
}

/** The xid that a record starts with. The record has at least four bytes. */
export function xidOf(record: Buffer): number {
  return record.readUInt32BE();
}

/** Takes a reply apart (RFC 5531 §9). @throws GarbledReply */
export function parseReply(record: Buffer): RpcReply {
  const reader = new XdrReader(record);
  reader.u32();
  if (reader.u32() !== MESSAGE_REPLY) throw new GarbledReply('it is no reply');
  const isDenied = reader.bool();
  if (isDenied) return parseDenial(reader);
  reader.u32();
  reader.opaque(MAX_AUTH_BYTES);
  const status = reader.u32();
  switch (status) {
    case 0:
      return { kind: 'success', results: reader };
    case 1:
      return { kind: 'programMissing' };
    case 2:
      return { kind: 'versionMismatch', lowest: reader.u32(), highest: reader.u32() };
    case 3:
      return { kind: 'procedureMissing' };
    case 4:
      return { kind: 'garbledArguments' };
    case 5:
      return { kind: 'serverFault' };
    default:
      throw new GarbledReply(`${status} is no accept_stat`);
  }
}

function parseDenial(reader: XdrReader): RpcReply {
  // RPC_MISMATCH: our version is 2, the only one there is, so it must have been changed on the way.
  if (reader.u32() !== 1) return { kind: 'garbledArguments' };
  return { kind: 'denied', authStatus: reader.u32() };
}
