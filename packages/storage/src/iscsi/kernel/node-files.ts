import { HoldfastError } from '@holdfast/contract/errors';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runTool } from '../stack/tool.ts';
import type { Connection } from './connection.ts';
import { iscsiadmArguments } from './iscsiadm.ts';
import type { NodeAddress } from './iscsiadm.ts';
import { applySettings, nodeSettings } from './node-record.ts';
import { sessionsOf } from './session-device.ts';
import { hasFile } from './tool-path.ts';
import type { UndoSteps } from './undo-steps.ts';

/** Where open-iscsi keeps its records: Debian's place, and that of others. */
const recordFolders = ['/etc/iscsi/nodes', '/var/lib/iscsi/nodes'];
const anyCode = Array.from({ length: 256 }, (_, code) => code);

/**
 * Makes the interface record, which carries the initiator's name, and the node record, which carries the CHAP secret.
 * Removing them is added to `undo`.
 */
export async function makeRecords(
  address: NodeAddress,
  connection: Connection,
  undo: UndoSteps,
): Promise<void> {
  const iscsiadm = async (args: string[]): Promise<void> => void (await runTool('iscsiadm', args));
  const { iface } = address;
  await iscsiadm(iscsiadmArguments.makeIface(iface));
  undo.add(() => iscsiadm(iscsiadmArguments.removeIface(iface)));
  await iscsiadm(iscsiadmArguments.setIface(iface, 'transport_name', 'tcp'));
  await iscsiadm(iscsiadmArguments.setIface(iface, 'initiatorname', connection.initiatorName));
  await iscsiadm(iscsiadmArguments.makeNode(address));
  undo.add(() => iscsiadm(iscsiadmArguments.removeNode(address)));
  const path = await recordPath(address);
  await chmod(path, 0o600);
  const record = applySettings(await readFile(path, 'utf8'), nodeSettings(connection));
  await writeFile(path, record, { mode: 0o600 });
}

/** Ends the sessions, and removes the records, that a holder of the same interface record has left when it was killed. */
export async function removeLeftovers(iface: string): Promise<void> {
  for (const session of await sessionsOf(iface)) {
    await runTool('iscsiadm', iscsiadmArguments.logoutSession(session));
  }
  for (const args of [iscsiadmArguments.removeNodes(iface), iscsiadmArguments.removeIface(iface)]) {
    await runTool('iscsiadm', args, { okCodes: anyCode });
  }
}

/** The file of a node record: `nodes/<target>/<address>,<port>,<group>/<interface>`. */
async function recordPath({ target, portal, portalGroup, iface }: NodeAddress): Promise<string> {
  for (const folder of recordFolders) {
    const path = join(folder, target, `${portal.host},${portal.port},${portalGroup}`, iface);
    if (await hasFile(path)) return path;
  }
  throw new HoldfastError(
    'backend_unavailable',
    `open-iscsi has made no record of ${target} that can be found. Check its installation, or set mode to direct.`,
  );
}
