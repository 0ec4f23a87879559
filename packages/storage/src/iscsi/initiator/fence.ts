import { isHoldfastError } from '@holdfast/contract/errors';
import { createHash, randomBytes } from 'node:crypto';
import { noReservations } from './logical-unit.ts';
import type { LogicalUnit } from './logical-unit.ts';
import {
  parseKeys,
  parseReservation,
  readKeys,
  readReservation,
  reserveOut,
} from './persistent-reservation.ts';
import type { ReservationKey } from './persistent-reservation.ts';
import { ReservedByAnother } from './sense.ts';

/** Bytes of a key that tell the owner; the others tell one start of it from the next. */
const ownerBytes = 4;

/**
 * A new key for an owner. A hub knows by the first half what it has left itself before a crash; the second half makes
 * sure that whatever is left of the crashed one is fenced off like anybody else.
 */
export function newFenceKey(ownerId: string): ReservationKey {
  const owner = createHash('sha256').update(`holdfast fence ${ownerId}`).digest().subarray(0, ownerBytes);
  // A key of zeroes stands for none (SPC-4 §6.16.3).
  owner[0] = (owner[0] ?? 0) | 1;
  return Buffer.concat([owner, randomBytes(8 - ownerBytes)]);
}

/** Whether two keys are of one owner. */
export function isSameOwner(one: ReservationKey, other: ReservationKey): boolean {
  return one.subarray(0, ownerBytes).equals(other.subarray(0, ownerBytes));
}

/** Who has reserved a LUN: nobody, the holder of this very key, another start of the same owner, somebody else. */
export type FenceState = 'free' | 'ours' | 'same-owner' | 'foreign';

interface Fence {
  state: FenceState;
  holder: ReservationKey | undefined;
}

async function readFence(
  unit: LogicalUnit,
  key: ReservationKey,
  signal: AbortSignal | undefined,
): Promise<Fence> {
  const reservation = await unit.ask(readReservation(), parseReservation, signal);
  if (!reservation.known) throw noReservations();
  const holder = reservation.value?.key;
  if (holder === undefined) return { state: 'free', holder };
  if (holder.equals(key)) return { state: 'ours', holder };
  return { state: isSameOwner(holder, key) ? 'same-owner' : 'foreign', holder };
}

/** Whether a LUN is reserved, and by whom. */
export async function fenceState(
  unit: LogicalUnit,
  key: ReservationKey,
  signal?: AbortSignal,
): Promise<FenceState> {
  return (await readFence(unit, key, signal)).state;
}

/**
 * Reserves a LUN for the holder of a key: from then on only initiators registered with the target write to it
 * (Write Exclusive – Registrants Only, SPC-4 §5.13.1). A reservation belongs to a session on some targets (tgt) and to
 * the initiator's name on others (LIO); a registration at every login and a reservation by key is right for both.
 *
 * @param options.takeOver also from another start of the same owner, whose registration ends with that
 * @throws HoldfastError `backend_unavailable`, not retryable, when another key has the LUN or the target cannot reserve
 */
export async function acquireFence(
  unit: LogicalUnit,
  key: ReservationKey,
  options: { takeOver: boolean; signal?: AbortSignal | undefined },
): Promise<void> {
  const { takeOver, signal } = options;
  const doing = 'Reserving the LUN';
  const { state, holder } = await readFence(unit, key, signal);
  if (state === 'foreign' || (state === 'same-owner' && !takeOver)) throw new ReservedByAnother(doing);
  await unit.run(reserveOut('registerAndIgnore', { serviceKey: key }), signal);
  try {
    // Preempting a key takes its reservation over and ends the registrations of its sessions, but for this one.
    if (holder === undefined) await unit.run(reserveOut('reserve', { key }), signal);
    else await unit.run(reserveOut('preempt', { key, serviceKey: holder }), signal);
    if ((await fenceState(unit, key, signal)) !== 'ours') throw new ReservedByAnother(doing);
  } catch (error) {
    // Without the reservation the registration would let this initiator write past another's fence.
    if (isHoldfastError(error)) await unregister(unit, key);
    throw error;
  }
}

/** Gives a LUN free again. */
export async function releaseFence(unit: LogicalUnit, key: ReservationKey): Promise<void> {
  await unit.run(reserveOut('release', { key }));
  await unit.run(reserveOut('register', { key }));
}

/**
 * Clears whatever reservation is on a LUN: for a hub that is gone for good. A hub that still lives loses the LUN at
 * once; what it has not yet made durable is lost.
 * @returns whether there was one
 */
export async function breakFence(
  unit: LogicalUnit,
  key: ReservationKey,
  signal?: AbortSignal,
): Promise<boolean> {
  const keys = await unit.ask(readKeys(), parseKeys, signal);
  if (!keys.known) throw noReservations();
  if (keys.value.length === 0) return false;
  await unit.run(reserveOut('registerAndIgnore', { serviceKey: key }), signal);
  await unit.run(reserveOut('clear', { key }), signal);
  return true;
}

async function unregister(unit: LogicalUnit, key: ReservationKey): Promise<void> {
  // The session may be the very thing that broke; its registration is worth nothing then.
  await unit.run(reserveOut('register', { key })).catch(() => undefined);
}
