import { GarbledReply } from '../xdr/garbled.ts';
import type { XdrReader } from '../xdr/reader.ts';
import type { XdrWriter } from '../xdr/writer.ts';
import { Operation } from './operation.ts';

const SESSION_ID_BYTES = 16;
/** RFC 8881 §18.35: NFS4_OPAQUE_LIMIT. */
const OPAQUE_LIMIT = 1024;
const NO_STATE_PROTECTION = 0;

/** The client by its own words: the same name with another verifier would be a new life of it. */
export interface ClientOwner {
  verifier: Buffer;
  name: string;
}

export function exchangeId(owner: ClientOwner): Operation<{ clientId: bigint; sequenceId: number }> {
  return new Operation(
    42,
    'EXCHANGE_ID',
    (writer) => writer.fixed(owner.verifier).opaque(owner.name).u32(0).u32(NO_STATE_PROTECTION).u32(0),
    (reader) => {
      const clientId = reader.u64();
      const sequenceId = reader.u32();
      reader.u32();
      if (reader.u32() !== NO_STATE_PROTECTION) throw new GarbledReply('nobody asked for state protection');
      reader.u64();
      reader.opaque(OPAQUE_LIMIT);
      reader.opaque(OPAQUE_LIMIT);
      reader.list(1, () => {
        reader.opaque(OPAQUE_LIMIT);
        reader.opaque(OPAQUE_LIMIT);
        reader.i64();
        reader.u32();
      });
      return { clientId, sequenceId };
    },
  );
}

/** What one direction of a session can carry (RFC 8881 §18.36: channel_attrs4). */
export interface ChannelLimits {
  maxRequestBytes: number;
  maxResponseBytes: number;
  maxCachedBytes: number;
  maxOperations: number;
  maxRequests: number;
}

function writeChannel(writer: XdrWriter, limits: ChannelLimits): void {
  writer.u32(0).u32(limits.maxRequestBytes).u32(limits.maxResponseBytes).u32(limits.maxCachedBytes);
  writer.u32(limits.maxOperations).u32(limits.maxRequests).u32(0);
}

function readChannel(reader: XdrReader): ChannelLimits {
  reader.u32();
  const limits = {
    maxRequestBytes: reader.u32(),
    maxResponseBytes: reader.u32(),
    maxCachedBytes: reader.u32(),
    maxOperations: reader.u32(),
    maxRequests: reader.u32(),
  };
  reader.list(1, () => reader.u32());
  return limits;
}

/** There is nothing to call us back about; the least that a session must have. */
const backChannel: ChannelLimits = {
  maxRequestBytes: 4096,
  maxResponseBytes: 4096,
  maxCachedBytes: 0,
  maxOperations: 2,
  maxRequests: 1,
};

export interface NewSession {
  sessionId: Buffer;
  limits: ChannelLimits;
}

export function createSession(
  clientId: bigint,
  sequenceId: number,
  wanted: ChannelLimits,
): Operation<NewSession> {
  const [callbackProgram, authNone] = [0x4000_0000, 0];
  return new Operation(
    43,
    'CREATE_SESSION',
    (writer) => {
      writer.u64(clientId).u32(sequenceId).u32(0);
      writeChannel(writer, wanted);
      writeChannel(writer, backChannel);
      writer.u32(callbackProgram).list([authNone], (flavor) => writer.u32(flavor));
    },
    (reader) => {
      const sessionId = Buffer.from(reader.fixed(SESSION_ID_BYTES));
      if (reader.u32() !== sequenceId) throw new GarbledReply('another session was made than was asked for');
      reader.u32();
      const limits = readChannel(reader);
      readChannel(reader);
      const isUsable =
        limits.maxRequests >= 1 &&
        limits.maxOperations >= 8 &&
        limits.maxRequestBytes >= 8192 &&
        limits.maxResponseBytes >= 8192;
      if (!isUsable) throw new GarbledReply('a session that is too small for any use');
      return { sessionId, limits };
    },
  );
}

export interface SequenceArguments {
  sessionId: Buffer;
  sequenceId: number;
  slotId: number;
  highestSlotId: number;
  /** The server is to keep the answer, so that the same request again is not done again. */
  keepReply: boolean;
}

/** @returns the highest slot that the server would like to be used */
export function sequence(args: SequenceArguments): Operation<number> {
  return new Operation(
    53,
    'SEQUENCE',
    (writer) => {
      writer.fixed(args.sessionId).u32(args.sequenceId).u32(args.slotId);
      writer.u32(args.highestSlotId).bool(args.keepReply);
    },
    (reader) => {
      const isOurs =
        reader.fixed(SESSION_ID_BYTES).equals(args.sessionId) &&
        reader.u32() === args.sequenceId &&
        reader.u32() === args.slotId;
      if (!isOurs) throw new GarbledReply('the answer belongs to another slot');
      reader.u32();
      const target = reader.u32();
      reader.u32();
      return target;
    },
  );
}

export function reclaimComplete(): Operation<void> {
  return new Operation(
    58,
    'RECLAIM_COMPLETE',
    (writer) => writer.bool(false),
    () => undefined,
  );
}

/** Ties the connection that it is sent over to a session, for calls of ours. */
export function bindConnection(sessionId: Buffer): Operation<void> {
  const foreChannel = 1;
  return new Operation(
    41,
    'BIND_CONN_TO_SESSION',
    (writer) => writer.fixed(sessionId).u32(foreChannel).bool(false),
    (reader) => {
      reader.fixed(SESSION_ID_BYTES);
      reader.u32();
      reader.bool();
    },
  );
}

export function destroySession(sessionId: Buffer): Operation<void> {
  return new Operation(
    44,
    'DESTROY_SESSION',
    (writer) => writer.fixed(sessionId),
    () => undefined,
  );
}

export function destroyClient(clientId: bigint): Operation<void> {
  return new Operation(
    57,
    'DESTROY_CLIENTID',
    (writer) => writer.u64(clientId),
    () => undefined,
  );
}
