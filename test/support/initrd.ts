import { chmod, copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { DebianKernel } from './kernel.ts';
import { runProcess } from './process.ts';
import { makeTempDir } from './temp-dir.ts';

/** What the machine prints once Linux and its network are up, with its node id after a space. */
export const bootedMarker = 'HOLDFAST-BOOTED';
/** What it prints once the hub has accepted its token. */
export const installedMarker = 'HOLDFAST-INSTALLED-CALLED';

/** virtio is modular in the cloud kernel; its network driver needs the PCI transport besides what it names itself. */
const networkModules = ['virtio_pci', 'virtio_net'];

/**
 * Reads `holdfast.server`, `holdfast.node` and `holdfast.token` from the kernel command line, brings eth0 up by
 * DHCP, prints the markers, tells the hub that the node is installed, and powers off.
 */
const initScript = `#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
exec </dev/console >/dev/console 2>&1
# Kernel messages would cut into the marker lines.
echo 1 > /proc/sys/kernel/printk
for module in /modules/*.ko; do insmod "$module"; done
for word in $(cat /proc/cmdline); do
  case "$word" in
    holdfast.server=*) server="\${word#holdfast.server=}" ;;
    holdfast.node=*) node="\${word#holdfast.node=}" ;;
    holdfast.token=*) token="\${word#holdfast.token=}" ;;
  esac
done
ip link set lo up
ip link set eth0 up
udhcpc -i eth0 -n -q -s /dhcp-event
echo "${bootedMarker} $node"
if [ -n "$token" ]; then
  if wget -q -O - --header 'Content-Type: application/json' --post-data "{\\"token\\":\\"$token\\"}" \\
    "$server/api/v1/nodes/$node/installed"; then
    echo
    echo "${installedMarker}"
  else
    echo "HOLDFAST-INSTALLED-FAILED"
  fi
fi
poweroff -f
`;

/** udhcpc calls it with the lease in its environment. */
const dhcpScript = `#!/bin/busybox sh
case "$1" in
  bound|renew)
    ip addr replace "$ip/$mask" dev "$interface"
    [ -z "$router" ] || ip route replace default via "\${router%% *}" dev "$interface"
    ;;
esac
`;

/** What an initrd holds besides busybox. */
export interface InitrdContents {
  /** Kernel modules by name; they and all that they need are in /modules, numbered in the order to load them. */
  modules: readonly string[];
  /** Scripts by their name in the root. `init` is what the kernel starts. */
  scripts: Readonly<Record<string, string>> & { init: string };
}

/** Writes the initrd of a machine that boots over the network: see the scripts above. */
export async function writeInitrd(kernel: DebianKernel, target: string): Promise<void> {
  const scripts = { init: initScript, 'dhcp-event': dhcpScript };
  await packInitrd(kernel, { modules: networkModules, scripts }, target);
}

/**
 * Writes a gzipped newc cpio archive: busybox, kernel modules and scripts.
 * Throws when busybox is missing or not linked statically.
 */
export async function packInitrd(
  kernel: DebianKernel,
  { modules, scripts }: InitrdContents,
  target: string,
): Promise<void> {
  const busybox = '/bin/busybox';
  const binary = await readFile(busybox).catch((cause: unknown) => {
    throw new Error('The test initrd needs busybox: run `apt-get install busybox-static`.', { cause });
  });
  if (needsInterpreter(binary)) {
    throw new Error(`${busybox} is linked dynamically: run \`apt-get install busybox-static\`.`);
  }
  await using root = await makeTempDir('initrd');
  for (const folder of ['bin', 'dev', 'proc', 'sys', 'modules', 'mnt']) await mkdir(root.join(folder));
  await copyFile(busybox, root.join('bin/busybox'));
  for (const [name, script] of Object.entries(scripts)) await writeFile(root.join(name), script);
  for (const name of ['bin/busybox', ...Object.keys(scripts)]) await chmod(root.join(name), 0o755);
  // The number keeps the load order through the shell's sorted glob.
  for (const [index, module] of (await kernel.modules(modules)).entries()) {
    const name = `${String(index).padStart(2, '0')}-${path.basename(module)}`;
    await copyFile(module, root.join('modules', name));
  }
  const pack = 'set -o pipefail; find . | cpio --quiet -o -H newc -R 0:0 | gzip -9 > "$0"';
  await runProcess('bash', ['-c', pack, target], { cwd: root.path });
}

/** Whether a 64-bit little-endian ELF file asks for a dynamic loader: it has a program header of type PT_INTERP. */
function needsInterpreter(elf: Buffer): boolean {
  const tableAt = Number(elf.readBigUInt64LE(32));
  const [entrySize, entries] = [elf.readUInt16LE(54), elf.readUInt16LE(56)];
  const types = Array.from({ length: entries }, (_, index) => elf.readUInt32LE(tableAt + index * entrySize));
  return types.includes(3);
}
