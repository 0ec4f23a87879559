import { connectionSettings, DEFAULT_STALL_MS } from './config.ts';
import type { IscsiConfig, IscsiSurroundings } from './config.ts';
import { discoverTargets } from './initiator/discovery.ts';
import type { DiscoveredTarget } from './initiator/discovery.ts';
import { breakFence, newFenceKey } from './initiator/fence.ts';
import { randomIsid } from './initiator/isid.ts';
import { LogicalUnit } from './initiator/logical-unit.ts';
import { IscsiSession } from './initiator/session.ts';

type AccessOptions = Pick<IscsiSurroundings, 'ownerId' | 'stallMs' | 'digests'> & {
  signal?: AbortSignal | undefined;
};

/**
 * Clears the reservation of a LUN whose hub is gone for good. Only a person can know that: a hub that still lives loses
 * the LUN at once, with all that it has not made durable.
 *
 * @returns whether there was one
 * @throws HoldfastError `validation_failed`, `backend_unavailable`, `cancelled`
 */
export async function clearIscsiReservation(config: IscsiConfig, options: AccessOptions): Promise<boolean> {
  const { ownerId, signal, stallMs: timeoutMs = DEFAULT_STALL_MS } = options;
  const settings = connectionSettings(config, options);
  await using session = await IscsiSession.open({ ...settings, isid: randomIsid(), timeoutMs, signal });
  const unit = new LogicalUnit(session, settings.lun);
  await unit.describe(signal);
  return await breakFence(unit, newFenceKey(ownerId), signal);
}

/**
 * The targets that a server shows to this hub, for a person to choose from. Of the configuration, the portal, the port,
 * CHAP and the initiator name count.
 *
 * @throws HoldfastError `validation_failed`, `backend_unavailable`, `cancelled`
 */
export async function discoverIscsiTargets(
  config: Omit<IscsiConfig, 'target' | 'lun' | 'filesystem' | 'mode'>,
  options: AccessOptions,
): Promise<DiscoveredTarget[]> {
  const { signal, stallMs: timeoutMs = DEFAULT_STALL_MS } = options;
  const { target: _none, ...settings } = connectionSettings(
    { ...config, target: 'iqn.2026-01.none' },
    options,
  );
  return await discoverTargets({ ...settings, timeoutMs, signal });
}
