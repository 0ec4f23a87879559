import { garbled } from './pdu.ts';
import type { ScsiCommand } from './scsi-command.ts';

const persistentReserveIn = 0x5e;
const persistentReserveOut = 0x5f;
const allocation = 8 * 1024;

/** Only registered initiators write; everybody reads (SPC-4 §5.13.1, table 65). */
export const WRITE_EXCLUSIVE_REGISTRANTS_ONLY = 5;

const outActions = {
  register: 0x00,
  reserve: 0x01,
  release: 0x02,
  clear: 0x03,
  preempt: 0x04,
  registerAndIgnore: 0x06,
} as const;

/** A reservation key: eight bytes, not all zero. */
export type ReservationKey = Buffer;

const noKey: ReservationKey = Buffer.alloc(8);

function reserveIn(action: number, label: string): ScsiCommand {
  const cdb = Buffer.alloc(16);
  cdb.set([persistentReserveIn, action]);
  cdb.writeUInt16BE(allocation, 7);
  return { label, cdb, dataInBytes: allocation };
}

export function readKeys(): ScsiCommand {
  return reserveIn(0, 'Reading the registrations of the LUN');
}

export function readReservation(): ScsiCommand {
  return reserveIn(1, 'Reading the reservation of the LUN');
}

/** SPC-4 §6.15.2. */
export function parseKeys(data: Buffer): ReservationKey[] {
  const body = listOf(data);
  const keys: ReservationKey[] = [];
  for (let at = 0; at + 8 <= body.byteLength; at += 8) keys.push(body.subarray(at, at + 8));
  return keys;
}

export interface Reservation {
  key: ReservationKey;
  type: number;
}

/** SPC-4 §6.15.3; undefined when nobody has reserved the LUN. */
export function parseReservation(data: Buffer): Reservation | undefined {
  const body = listOf(data);
  if (body.byteLength === 0) return undefined;
  if (body.byteLength < 16) throw garbled('a reservation that is too short');
  return { key: body.subarray(0, 8), type: (body[13] ?? 0) & 0x0f };
}

function listOf(data: Buffer): Buffer {
  if (data.byteLength < 8) throw garbled('an answer on reservations that is too short');
  return data.subarray(8, Math.min(data.byteLength, 8 + data.readUInt32BE(4)));
}

/**
 * PERSISTENT RESERVE OUT (SPC-4 §6.16).
 * @param fields.key the key that this initiator is registered with
 * @param fields.serviceKey the key that the action is about
 */
export function reserveOut(
  action: keyof typeof outActions,
  fields: { key?: ReservationKey; serviceKey?: ReservationKey },
): ScsiCommand {
  const parameters = Buffer.alloc(24);
  parameters.set(fields.key ?? noKey, 0);
  parameters.set(fields.serviceKey ?? noKey, 8);
  const isTyped = action === 'reserve' || action === 'release' || action === 'preempt';
  const cdb = Buffer.alloc(16);
  cdb.set([persistentReserveOut, outActions[action], isTyped ? WRITE_EXCLUSIVE_REGISTRANTS_ONLY : 0]);
  cdb.writeUInt32BE(parameters.byteLength, 5);
  return { label: `Changing the reservation of the LUN (${action})`, cdb, dataOut: parameters };
}
