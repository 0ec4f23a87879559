import type { ProbeReport } from '../backend.ts';
import { CheckList } from '../probing/check-list.ts';
import { DEFAULT_STALL_MS } from './config.ts';
import type { ConnectionSettings } from './config.ts';
import { openConnection, portalText, resolvePortal } from './initiator/connection.ts';
import { newFenceKey, fenceState } from './initiator/fence.ts';
import { randomIsid } from './initiator/isid.ts';
import { LogicalUnit } from './initiator/logical-unit.ts';
import { ReservedByAnother } from './initiator/sense.ts';
import { IscsiSession } from './initiator/session.ts';

/** For checks whose result is what there is to say. */
const textOf = (text: string): string => text;

export interface LunProbeOptions {
  settings: ConnectionSettings;
  ownerId: string;
  stallMs?: number | undefined;
  signal?: AbortSignal | undefined;
}

/** The checks of the way to a LUN, by a session of their own: resolve, connect, authenticate, lun, reservation. */
async function probeLun(
  { attempt }: CheckList,
  { settings, ownerId, stallMs = DEFAULT_STALL_MS, signal }: LunProbeOptions,
): Promise<void> {
  await using resources = new AsyncDisposableStack();
  let address = settings.portal.host;
  await attempt('resolve', textOf, async () => {
    address = await resolvePortal(settings.portal, stallMs, signal);
    return address === settings.portal.host
      ? `${address} is an address.`
      : `${settings.portal.host} is ${address}.`;
  });
  await attempt('connect', textOf, async () => {
    const portal = { host: address, port: settings.portal.port };
    (await openConnection(portal, stallMs, signal)).destroy();
    return `A server answers at ${portalText(portal)}.`;
  });
  let session: IscsiSession | undefined;
  await attempt('authenticate', textOf, async () => {
    session = resources.use(
      await IscsiSession.open({ ...settings, isid: randomIsid(), timeoutMs: stallMs, signal }),
    );
    const { headerDigest, dataDigest } = session.parameters;
    const digests =
      headerDigest && dataDigest ? 'with digests' : 'without digests, so that writes are read back';
    return `${settings.target} lets this hub in, ${digests}.`;
  });
  let unit: LogicalUnit | undefined;
  await attempt('lun', textOf, async () => {
    if (session === undefined) throw new Error('there is no session');
    unit = new LogicalUnit(session, settings.lun);
    const { vendor, product, blockBytes, blockCount } = await unit.describe(signal);
    const gibibytes = ((blockBytes * blockCount) / 1024 ** 3).toFixed(1);
    return `LUN ${settings.lun} is there: ${vendor} ${product}, ${gibibytes} GiB.`;
  });
  await attempt('reservation', textOf, async () => {
    if (unit === undefined) throw new Error('there is no LUN');
    const state = await fenceState(unit, newFenceKey(ownerId), signal);
    if (state === 'foreign') throw new ReservedByAnother('The check of the reservation');
    return state !== 'free' ? 'The LUN is reserved for this hub.' : 'Nobody has reserved the LUN.';
  });
}

/**
 * Tries in order what a backend is for. Never throws.
 * @param probeFiles mounts the LUN, if it is not mounted, and tries its file system
 */
export async function probeIscsi(
  options: LunProbeOptions,
  probeFiles: () => Promise<ProbeReport>,
): Promise<ProbeReport> {
  const list = new CheckList(options.signal);
  await probeLun(list, options);
  let files: ProbeReport | undefined;
  await list.attempt('mount', 'The file system of the LUN is mounted.', async () => {
    files = await probeFiles();
  });
  return list.report(files?.checks);
}
