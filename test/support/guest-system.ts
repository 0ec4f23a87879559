import { createHash } from 'node:crypto';
import { chmod, cp, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { cacheFolder, type DebianKernel } from './kernel.ts';
import { runProcess } from './process.ts';
import { makeTempDir } from './temp-dir.ts';

/** What a guest is made of; apt adds what these depend on. */
const packages = [
  ...[
    'base-files',
    'busybox-static',
    'coreutils',
    'dash',
    'kmod',
    'libstdc++6',
    'mount',
    'netbase',
    'util-linux',
  ],
  ...['e2fsprogs', 'nfs-common', 'open-iscsi', 'sg3-utils', 'xfsprogs'],
];
const cachePrefix = 'guest-';

/** Where the project is in a guest. */
export const guestProject = '/holdfast';
/** The script that a guest runs, then it powers off. */
export const guestCommand = '/guest-command';
/** What a guest prints on its console when its command has ended, with the exit status after a space. */
export const guestEndedMarker = 'HOLDFAST-GUEST-ENDED';
/** What the initrd starts. */
export const guestInit = '/guest-init';

/** QEMU's user network has the guest at 10.0.2.15, and this machine's loopback at 10.0.2.2. */
const initScript = `#!/bin/dash
export PATH=${guestProject}/node_modules/.bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root NO_COLOR=1
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /run
mkdir -p /run/lock
modprobe virtio_console
# A device comes some time after its driver.
await() { tries=0; until [ -e "$1" ] || [ $tries -ge 100 ]; do tries=$((tries + 1)); busybox sleep 0.1; done; }
await /dev/hvc0
# The kernel has the serial console to itself: it would cut into the lines of others.
exec </dev/null >/dev/hvc0 2>&1
stty -opost <&1
modprobe virtio_net
# There is no udev to load the driver when the first disk comes.
modprobe sd_mod
await /sys/class/net/eth0
busybox ip link set lo up
busybox ip link set eth0 up
busybox ip address add 10.0.2.15/24 dev eth0
busybox ip route add default via 10.0.2.2
iscsid
dash ${guestCommand}
echo "${guestEndedMarker} $?"
busybox poweroff -f
`;

const files: Readonly<Record<string, string>> = {
  'etc/passwd': 'root:x:0:0:root:/root:/bin/sh\n',
  'etc/group': 'root:x:0:\n',
  'etc/hosts': '127.0.0.1 localhost\n',
  'etc/iscsi/initiatorname.iscsi': 'InitiatorName=iqn.2026-01.test:guest\n',
  [guestInit.slice(1)]: initScript,
};

/**
 * The root folder of a small Debian with the modules of a kernel, the kernel's NFS client and open-iscsi: unpacked, not
 * installed. From `.cache/test` of the repository, where it is made once for each set of package versions.
 * Throws without root, or when the packages cannot be downloaded.
 */
export async function guestSystem(kernel: DebianKernel): Promise<string> {
  if (process.getuid?.() !== 0)
    throw new Error('The system of a guest is made by root: run this test as root.');
  await mkdir(cacheFolder, { recursive: true });
  const work = await makeTempDir('guest-packages');
  await using _work = work;
  const archives = await packageNames(work.path);
  const inputs = [archives, path.basename(kernel.moduleFolder), files];
  const key = createHash('sha256').update(JSON.stringify(inputs)).digest('hex').slice(0, 16);
  const target = path.join(cacheFolder, `${cachePrefix}${key}`);
  const cached = await readdir(cacheFolder);
  if (cached.includes(path.basename(target))) return target;
  await apt(work.path, '--download-only');
  const staged = `${target}.part-${process.pid}`;
  await unpack(work.path, kernel, staged);
  await rename(staged, target);
  for (const old of cached.filter((name) => name.startsWith(cachePrefix)))
    await rm(path.join(cacheFolder, old), { recursive: true, force: true });
  return target;
}

/** apt-get install as on a machine without a single package: it names, or downloads, all that is needed. */
async function apt(work: string, action: '--print-uris' | '--download-only'): Promise<string> {
  await mkdir(path.join(work, 'archives/partial'), { recursive: true });
  await writeFile(path.join(work, 'status'), '');
  const options = [
    `Dir::State::status=${work}/status`,
    `Dir::Cache::archives=${work}/archives`,
    'Debug::NoLocking=1',
    // apt's own download user may not write to a private folder.
    'APT::Sandbox::User=root',
  ];
  const args = [
    'install',
    '-y',
    '--no-install-recommends',
    action,
    ...options.flatMap((option) => ['-o', option]),
  ];
  const { stdout } = await runProcess('apt-get', [...args, ...packages], { timeoutMs: 300_000 }).catch(
    (cause: unknown) => {
      const advice =
        'Run `apt-get update` as root on a machine that reaches a Debian mirror, then try again.';
      throw new Error(`The Debian packages of a guest cannot be had. ${advice}`, { cause });
    },
  );
  return stdout;
}

/** The file names of all packages, which have their versions in them. */
async function packageNames(work: string): Promise<string[]> {
  const uris = (await apt(work, '--print-uris')).split('\n').filter((line) => line.startsWith("'"));
  return uris.map((line) => line.split(' ')[1] ?? '').toSorted();
}

async function unpack(work: string, kernel: DebianKernel, root: string): Promise<void> {
  await mkdir(root);
  const archives = path.join(work, 'archives');
  const debs = (await readdir(archives)).filter((name) => name.endsWith('.deb'));
  for (const deb of debs) await runProcess('dpkg', ['-x', path.join(archives, deb), root]);
  const version = path.basename(kernel.moduleFolder);
  await cp(kernel.moduleFolder, path.join(root, 'lib/modules', version), { recursive: true });
  await runProcess('chroot', [root, 'depmod', '-a', version]);
  for (const [name, text] of Object.entries(files)) await writeFile(path.join(root, name), text);
  await chmod(path.join(root, guestInit), 0o755);
  await mkdir(path.join(root, guestProject));
}
