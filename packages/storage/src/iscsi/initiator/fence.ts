import { isHoldfastError } from '@holdfast/contract/errors';
import { createHash } from 'node:crypto';
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

/** The key by which a hub is known to the target: of its id, so that it knows its own after a crash. */
export function fenceKeyOf(ownerId: string): ReservationKey {
  const key = createHash('sha256').update(`holdfast fence ${ownerId}`).digest().subarray(0, 8);
  key[0] = (key[0] ?? 0) | 1;
  return key;
}

/** Whether a LUN is reserved, and by whom. */
export async function fenceState(
  unit: LogicalUnit,
  key: ReservationKey,
  signal?: AbortSignal,
): Promise<'free' | 'ours' | 'foreign'> {
  const reservation = await unit.ask(readReservation(), parseReservation, signal);
  if (!reservation.known) throw noReservations();
  if (reservation.value === undefined) return 'free';
  return reservation.value.key.equals(key) ? 'ours' : 'foreign';
}

/**
 * Reserves a LUN for the holder of a key: from then on only initiators registered with the target write to it
 * (Write Exclusive – Registrants Only, SPC-4 §5.13.1). A reservation of the same key, left by a session that is gone,
 * is taken over. A reservation belongs to a session on some targets and to the initiator's name on others; a
 * registration at every login and a reservation by key is right for both.
 *
 * @throws HoldfastError `backend_unavailable`, not retryable, when another key has the LUN or the target cannot reserve
 */
export async function acquireFence(
  unit: LogicalUnit,
  key: ReservationKey,
  signal?: AbortSignal,
): Promise<void> {
  const doing = 'Reserving the LUN';
  const before = await fenceState(unit, key, signal);
  if (before === 'foreign') throw new ReservedByAnother(doing);
  await unit.run(reserveOut('registerAndIgnore', { serviceKey: key }), signal);
  try {
    // Preempting our own key takes the reservation over and drops the registrations of sessions that are gone.
    if (before === 'ours') await unit.run(reserveOut('preempt', { key, serviceKey: key }), signal);
    else await unit.run(reserveOut('reserve', { key }), signal);
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
