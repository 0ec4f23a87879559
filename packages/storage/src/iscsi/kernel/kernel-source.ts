import { errnoOf } from '@holdfast/bytes/durable-file';
import { HoldfastError } from '@holdfast/contract/errors';
import { chmod, open, readdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { detectSignatures, SIGNATURE_AREA_BYTES } from '../signature.ts';
import type { Signature } from '../signature.ts';
import type { BlockSource } from '../stack/block-source.ts';
import type { ExporterStart } from '../stack/exporter-messages.ts';
import { runTool } from '../stack/tool.ts';
import { iscsiadmArguments, iscsiadmStatus, kernelLoginFailure, sessionNumbers } from './iscsiadm.ts';
import type { NodeAddress } from './iscsiadm.ts';
import { acquireKernelFence, releaseKernelFence } from './kernel-fence.ts';
import { applySettings, nodeSettings } from './node-record.ts';
import { deviceOfSession, stateOfSession } from './session-device.ts';

const recordFolders = ['/etc/iscsi/nodes', '/var/lib/iscsi/nodes'];
const devicePauseMs = 200;
const sectorBytes = 512;

type Connection = Omit<ExporterStart, 'socketPath'>;

/**
 * Attaches a LUN by the kernel's initiator and open-iscsi. The interface record carries this hub's initiator name, the
 * node record its CHAP secret; both are removed when the LUN is let go.
 */
export async function attachKernel(folder: string, connection: Connection): Promise<BlockSource> {
  const { target, portal, lun, fenceKey, stallMs } = connection;
  const address: NodeAddress = { target, portal, iface: basename(folder) };
  await using undo = new AsyncDisposableStack();
  await runTool('modprobe', ['iscsi_tcp']);
  await makeRecords(address, connection, undo);
  const { code } = await runTool('iscsiadm', iscsiadmArguments.login(address), { okCodes: anyCode });
  if (code !== iscsiadmStatus.ok && code !== iscsiadmStatus.sessionExists)
    throw kernelLoginFailure(code, target);
  undo.defer(async () => {
    await runTool('iscsiadm', iscsiadmArguments.logout(address));
  });
  const { session, device } = await awaitDevice(target, lun, stallMs);
  await acquireKernelFence(device, fenceKey);
  undo.defer(() => releaseKernelFence(device, fenceKey));
  const facts = await factsOf(device);
  const lost = watchSession(session, stallMs, target);
  undo.defer(async () => lost.stop());
  const owned = undo.move();
  return {
    device,
    formatPath: device,
    ...facts,
    warning: undefined,
    lost: lost.lost,
    release: async () => {},
    detach: async (check) => {
      await using _rest = owned;
      await check(device);
    },
  };
}

const anyCode = Array.from({ length: 256 }, (_, code) => code);

async function makeRecords(
  address: NodeAddress,
  connection: Connection,
  undo: AsyncDisposableStack,
): Promise<void> {
  const iscsiadm = async (args: string[]): Promise<void> => void (await runTool('iscsiadm', args));
  // Left by a crash: to be made anew.
  await runTool('iscsiadm', iscsiadmArguments.removeIface(address.iface), { okCodes: anyCode });
  await iscsiadm(iscsiadmArguments.makeIface(address.iface));
  undo.defer(() => iscsiadm(iscsiadmArguments.removeIface(address.iface)));
  await iscsiadm(iscsiadmArguments.setIface(address.iface, 'transport_name', 'tcp'));
  await iscsiadm(iscsiadmArguments.setIface(address.iface, 'initiatorname', connection.initiatorName));
  await iscsiadm(iscsiadmArguments.makeNode(address));
  undo.defer(() => iscsiadm(iscsiadmArguments.removeNode(address)));
  const path = await recordPath(address);
  await chmod(path, 0o600);
  await writeFile(path, applySettings(await readFile(path, 'utf8'), nodeSettings(connection)), {
    mode: 0o600,
  });
}

/** The file of a node record: `nodes/<target>/<address>,<port>,<group>/<interface>`. */
async function recordPath({ target, portal, iface }: NodeAddress): Promise<string> {
  for (const folder of recordFolders) {
    const names = await readdir(join(folder, target)).catch((error: unknown) => {
      if (errnoOf(error) === 'ENOENT') return [];
      throw error;
    });
    const name = names.find((each) => each.startsWith(`${portal.host},${portal.port}`));
    if (name !== undefined) return join(folder, target, name, iface);
  }
  throw new HoldfastError(
    'backend_unavailable',
    `open-iscsi has made no record of ${target}. Check its installation.`,
  );
}

async function awaitDevice(
  target: string,
  lun: number,
  patienceMs: number,
): Promise<{ session: number; device: string }> {
  for (let waitedMs = 0; ; waitedMs += devicePauseMs) {
    const { stdout } = await runTool('iscsiadm', iscsiadmArguments.sessions(), {
      okCodes: [0, iscsiadmStatus.noObjects],
    });
    for (const session of sessionNumbers(stdout, target)) {
      const device = await deviceOfSession(session, lun);
      if (device !== undefined) return { session, device };
    }
    if (waitedMs >= patienceMs) {
      const message = `The iSCSI target has no LUN ${lun}. Check the field lun.`;
      throw new HoldfastError('backend_unavailable', message, {
        retryable: false,
        errors: [{ field: 'config.lun', message }],
      });
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

/** Follows the state of a session; sysfs tells no changes, so that it has to be asked. */
function watchSession(
  session: number,
  stallMs: number,
  target: string,
): { lost: Promise<HoldfastError>; stop: () => void } {
  const { promise, resolve } = Promise.withResolvers<HoldfastError>();
  let soundAt = performance.now();
  const look = async (): Promise<void> => {
    if ((await stateOfSession(session)) === 'LOGGED_IN') soundAt = performance.now();
    if (performance.now() - soundAt < stallMs) return;
    clearInterval(timer);
    const text = `The kernel has lost its session with ${target} for ${stallMs / 1000} s. Check the server and the network.`;
    resolve(new HoldfastError('backend_unavailable', text));
  };
  const timer = setInterval(() => void look(), stallMs / 4);
  timer.unref();
  return { lost: promise, stop: () => clearInterval(timer) };
}
