import { createHash } from 'node:crypto';
import { open, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { resolvePortal } from '../initiator/connection.ts';
import { randomIsid } from '../initiator/isid.ts';
import { misconfigured } from '../initiator/login-failure.ts';
import { LogicalUnit } from '../initiator/logical-unit.ts';
import { IscsiSession } from '../initiator/session.ts';
import { detectSignatures, SIGNATURE_AREA_BYTES } from '../signature.ts';
import type { Signature } from '../signature.ts';
import type { BlockSource } from '../stack/block-source.ts';
import { runTool } from '../stack/tool.ts';
import type { Connection } from './connection.ts';
import { iscsiadmArguments, iscsiadmStatus, kernelLoginFailure } from './iscsiadm.ts';
import type { NodeAddress } from './iscsiadm.ts';
import { acquireKernelFence, keepKernelFence, releaseKernelFence } from './kernel-fence.ts';
import { makeRecords, removeLeftovers } from './node-files.ts';
import { deviceOfSession, sessionsOf, stateOfSession } from './session-device.ts';
import { SessionWatch } from './session-watch.ts';
import { hasFile } from './tool-path.ts';
import { UndoSteps } from './undo-steps.ts';

const devicePauseMs = 200;
const longestWatchIntervalMs = 5000;
const sectorBytes = 512;

/**
 * Attaches a LUN by the kernel's initiator and open-iscsi. The interface record carries this hub's initiator name, the
 * node record its CHAP secret; both are removed when the LUN is let go.
 * @throws HoldfastError `backend_unavailable`, with the field of the configuration where that is at fault
 */
export async function attachKernel(folder: string, connection: Connection): Promise<BlockSource> {
  const { target, lun, fenceKey, stallMs } = connection;
  const iface = interfaceName(folder);
  await using undo = new UndoSteps();
  if (!(await hasFile('/sys/module/iscsi_tcp'))) await runTool('modprobe', ['iscsi_tcp']);
  await removeLeftovers(iface);
  const address = { ...(await lookAtTarget(connection)), target, iface };
  await makeRecords(address, connection, undo);
  await logIn(address, undo);
  const { session, device } = await awaitDevice(iface, lun, stallMs);
  await acquireKernelFence(device, fenceKey);
  const watch = new SessionWatch({
    state: () => stateOfSession(session),
    keepFence: () => keepKernelFence(device, fenceKey),
    target,
    stallMs,
    intervalMs: Math.min(stallMs / 4, longestWatchIntervalMs),
  });
  undo.add(async () => {
    watch[Symbol.dispose]();
    // To a session that is lost it would hang for as long as the kernel hopes.
    if (!watch.isLost) await releaseKernelFence(device, fenceKey);
  });
  const facts = await factsOf(device);
  const owned = undo.move();
  return {
    device,
    formatPath: device,
    ...facts,
    warning: undefined,
    lost: watch.lost,
    release: async () => {},
    detach: async (check) => {
      await using _rest = owned;
      await check(device);
    },
  };
}

/** The same for every holder of a folder, and of no other: what a killed one has left is known by it. */
function interfaceName(folder: string): string {
  return `holdfast-${createHash('sha256').update(folder).digest('hex').slice(0, 16)}`;
}

/**
 * Logs in by our own initiator first: it tells what is wrong in better words than a status of iscsiadm, and knows what
 * the node record needs, the address and the group of the portal.
 */
async function lookAtTarget(connection: Connection): Promise<Pick<NodeAddress, 'portal' | 'portalGroup'>> {
  const { portal, lun, stallMs } = connection;
  const host = await resolvePortal(portal, stallMs);
  await using session = await IscsiSession.open({ ...connection, isid: randomIsid(), timeoutMs: stallMs });
  await new LogicalUnit(session, lun).describe();
  return { portal: { host, port: portal.port }, portalGroup: session.parameters.portalGroup ?? 1 };
}

async function logIn(address: NodeAddress, undo: UndoSteps): Promise<void> {
  const okCodes = Array.from({ length: 256 }, (_, code) => code);
  const { code } = await runTool('iscsiadm', iscsiadmArguments.login(address), { okCodes });
  if (code !== iscsiadmStatus.ok) throw kernelLoginFailure(code, address.target);
  undo.add(async () => {
    await runTool('iscsiadm', iscsiadmArguments.logout(address));
  });
}

/** The kernel looks for the LUNs of a session after the login. */
async function awaitDevice(
  iface: string,
  lun: number,
  patienceMs: number,
): Promise<{ session: number; device: string }> {
  for (let waitedMs = 0; ; waitedMs += devicePauseMs) {
    for (const session of await sessionsOf(iface)) {
      const device = await deviceOfSession(session, lun);
      if (device !== undefined) return { session, device };
    }
    if (waitedMs >= patienceMs) {
      throw misconfigured(
        'config.lun',
        `The kernel finds no LUN ${lun} at the iSCSI target. Check the field lun.`,
      );
    }
    await delay(devicePauseMs);
  }
}

async function factsOf(
  device: string,
): Promise<{ sizeBytes: number; isWriteProtected: boolean; signatures: Signature[] }> {
  const attributes = join('/sys/class/block', basename(device));
  const number = async (name: string): Promise<number> =>
    Number((await readFile(join(attributes, name), 'utf8')).trim());
  const sizeBytes = (await number('size')) * sectorBytes;
  const length = Math.min(SIGNATURE_AREA_BYTES, sizeBytes);
  await using handle = await open(device, 'r');
  const [first, last] = [Buffer.alloc(length), Buffer.alloc(length)];
  await handle.read(first, 0, length, 0);
  await handle.read(last, 0, length, sizeBytes - length);
  const signatures = detectSignatures(first, last, sizeBytes);
  return { sizeBytes, isWriteProtected: (await number('ro')) === 1, signatures };
}
