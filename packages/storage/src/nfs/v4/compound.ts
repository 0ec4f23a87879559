import { isPossibleStatus, nfsStatus } from '../status.ts';
import { GarbledReply } from '../xdr/garbled.ts';
import type { XdrReader } from '../xdr/reader.ts';
import type { XdrWriter } from '../xdr/writer.ts';
import type { Operation } from './operation.ts';

const MINOR_VERSION = 1;
const MAX_TAG_BYTES = 1024;

/** How a compound ended: at the first operation that was not OK, or OK. */
export interface CompoundOutcome {
  status: number;
  /** Operations that were answered with OK. */
  done: number;
}

/** Writes the arguments of COMPOUND (RFC 8881 §16.2). */
export function writeCompound(writer: XdrWriter, operations: readonly Operation<unknown>[]): void {
  writer.u32(0).u32(MINOR_VERSION);
  writer.list(operations, (operation) => operation.write(writer));
}

/**
 * Reads the results of COMPOUND into the operations. The status is sent twice, and every result names its operation:
 * what does not agree was damaged on its way.
 * @throws GarbledReply
 */
export function readCompound(reader: XdrReader, operations: readonly Operation<unknown>[]): CompoundOutcome {
  for (const operation of operations) operation.forget();
  const status = reader.u32();
  if (!isPossibleStatus(status)) throw new GarbledReply(`${status} is no status`);
  reader.opaque(MAX_TAG_BYTES);
  const results = reader.u32();
  if (results > operations.length)
    throw new GarbledReply(`${results} results for ${operations.length} operations`);
  // Servers refuse a compound as a whole (its minor version, its length) without a result.
  if (results === 0) {
    if (status === nfsStatus.OK) throw new GarbledReply('no results');
    return { status, done: 0 };
  }
  for (let index = 0; index < results; index += 1) {
    const operation = operations[index];
    const code = reader.u32();
    const operationStatus = reader.u32();
    const isIllegal = status === nfsStatus.OP_ILLEGAL;
    if (operation === undefined || (code !== operation.code && !isIllegal)) {
      throw new GarbledReply(`result ${index} is of operation ${code}`);
    }
    if (operationStatus === nfsStatus.OK) {
      operation.read(reader);
      continue;
    }
    if (operationStatus !== status || index !== results - 1)
      throw new GarbledReply('the statuses do not agree');
    // Not read to the end: a few operations (SETATTR) tell something even when they fail.
    return { status, done: index };
  }
  if (status !== nfsStatus.OK || results < operations.length) throw new GarbledReply('results are missing');
  reader.end();
  return { status, done: results };
}
