import { spawn } from 'node:child_process';
import { existsSync, globSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

/** A Debian package that some tests or benchmarks need. */
export interface DebianPackage {
  name: string;
  /** A file (or glob) that is there when the package is. */
  proof: string;
  /** Who needs it. */
  neededBy: 'test' | 'bench' | 'long';
}

export const debianPackages: readonly DebianPackage[] = [
  { name: 'postgresql', proof: '/usr/lib/postgresql/*/bin/postgres', neededBy: 'test' },
  { name: 'nginx-light', proof: '/usr/sbin/nginx', neededBy: 'test' },
  { name: 'curl', proof: '/usr/bin/curl', neededBy: 'test' },
  { name: 'wget', proof: '/usr/bin/wget', neededBy: 'test' },
  { name: 'aria2', proof: '/usr/bin/aria2c', neededBy: 'test' },
  { name: 'chromium', proof: '/usr/bin/chromium', neededBy: 'test' },
  { name: 'qemu-system-x86', proof: '/usr/bin/qemu-system-x86_64', neededBy: 'test' },
  { name: 'ipxe-qemu', proof: '/usr/lib/ipxe/qemu/pxe-virtio.rom', neededBy: 'test' },
  { name: 'ipxe', proof: '/usr/lib/ipxe/ipxe.efi', neededBy: 'test' },
  { name: 'ovmf', proof: '/usr/share/OVMF/OVMF_CODE_4M.fd', neededBy: 'test' },
  { name: 'busybox-static', proof: '/bin/busybox', neededBy: 'test' },
  { name: 'cpio', proof: '/{usr/,}bin/cpio', neededBy: 'test' },
  { name: 'dnsmasq-base', proof: '/usr/sbin/dnsmasq', neededBy: 'test' },
  {
    name: 'grub-efi-amd64-bin',
    proof: '/usr/lib/grub/x86_64-efi/monolithic/grubnetx64.efi',
    neededBy: 'test',
  },
  { name: 'atftp', proof: '/usr/bin/atftp', neededBy: 'test' },
  { name: 'python3-tuspy', proof: '/usr/lib/python3/dist-packages/tusclient/__init__.py', neededBy: 'test' },
  { name: 'iproute2', proof: '/{usr/,}bin/ip', neededBy: 'test' },
  { name: 'xorriso', proof: '/usr/bin/xorriso', neededBy: 'long' },
  { name: 'isolinux', proof: '/usr/lib/ISOLINUX/isolinux.bin', neededBy: 'long' },
  { name: 'syslinux-common', proof: '/usr/lib/syslinux/modules/bios/ldlinux.c32', neededBy: 'long' },
  { name: 'swift-proxy', proof: '/usr/bin/swift-proxy-server', neededBy: 'long' },
  { name: 'swift-account', proof: '/usr/bin/swift-account-server', neededBy: 'long' },
  { name: 'swift-container', proof: '/usr/bin/swift-container-server', neededBy: 'long' },
  { name: 'swift-object', proof: '/usr/bin/swift-object-server', neededBy: 'long' },
  { name: 'memcached', proof: '/usr/bin/memcached', neededBy: 'long' },
  { name: 'e2fsprogs', proof: '/{usr/,}sbin/debugfs', neededBy: 'test' },
  { name: 'tmux', proof: '/usr/bin/tmux', neededBy: 'test' },
  { name: 'zsh', proof: '/{usr/,}bin/zsh', neededBy: 'test' },
  { name: 'fish', proof: '/usr/bin/fish', neededBy: 'test' },
  { name: 'strace', proof: '/usr/bin/strace', neededBy: 'test' },
  {
    name: 'libnginx-mod-http-dav-ext',
    proof: '/usr/lib/nginx/modules/ngx_http_dav_ext_module.so',
    neededBy: 'test',
  },
  { name: 'apache2', proof: '/usr/sbin/apache2', neededBy: 'test' },
  { name: 'apache2-utils', proof: '/usr/bin/htpasswd', neededBy: 'test' },
  { name: 'nfs-ganesha', proof: '/usr/bin/ganesha.nfsd', neededBy: 'test' },
  { name: 'nfs-ganesha-vfs', proof: '/usr/lib/*/ganesha/libfsalvfs.so', neededBy: 'test' },
  { name: 'rpcbind', proof: '/{usr/,}sbin/rpcbind', neededBy: 'test' },
  { name: 'ceph-mon', proof: '/usr/bin/ceph-mon', neededBy: 'test' },
  { name: 'ceph-osd', proof: '/usr/bin/ceph-osd', neededBy: 'test' },
  { name: 'ceph-common', proof: '/usr/bin/ceph', neededBy: 'test' },
  { name: 'radosgw', proof: '/usr/bin/radosgw', neededBy: 'test' },
  { name: 'tgt', proof: '/usr/sbin/tgtd', neededBy: 'test' },
  { name: 'xfsprogs', proof: '/{usr/,}sbin/mkfs.xfs', neededBy: 'test' },
  { name: 'libnbd-bin', proof: '/usr/bin/nbdfuse', neededBy: 'test' },
  { name: 'fuse3', proof: '/{usr/,}bin/fusermount3', neededBy: 'test' },
  { name: 'wrk', proof: '/usr/bin/wrk', neededBy: 'bench' },
  { name: 'rclone', proof: '/usr/bin/rclone', neededBy: 'bench' },
  { name: 'libnfs-utils', proof: '/usr/bin/nfs-cp', neededBy: 'bench' },
];

/** The packages of `packages` whose proof is not on this machine. */
export function findMissing(packages: readonly DebianPackage[]): DebianPackage[] {
  return packages.filter((wanted) => globSync(wanted.proof).length === 0);
}

const aptOptions = ['-y', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=300'];

/** The command that installs `names`, for a person to copy. */
export function installCommand(names: readonly string[]): string {
  return `sudo apt-get update && sudo apt-get install ${aptOptions.join(' ')} ${names.join(' ')}`;
}

/** Runs apt-get; its output goes to standard error. Resolves to true when it succeeded. */
function aptGet(args: readonly string[]): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const child = spawn('apt-get', args, {
      stdio: ['ignore', process.stderr, process.stderr],
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    });
    // apt-get stops where it is safe to; this process goes on to clean up after itself.
    const passOn = (signal: NodeJS.Signals): void => {
      child.kill(signal);
    };
    const settle = (): void => {
      process.off('SIGINT', passOn).off('SIGTERM', passOn);
    };
    process.on('SIGINT', passOn).on('SIGTERM', passOn);
    child.once('error', (error) => {
      settle();
      reject(error);
    });
    child.once('close', (code) => {
      settle();
      resolve(code === 0);
    });
  });
}

const dayMs = 24 * 60 * 60 * 1000;

/** True when apt knows no packages, or knew them last more than a day ago. */
function packageListsAreOld(nowMs: number): boolean {
  const lists = globSync('/var/lib/apt/lists/*_{Packages,InRelease}*');
  return !lists.some((file) => nowMs - statSync(file).ctimeMs < dayMs);
}

/**
 * Leaves a file in place while `action` runs when none is there yet, and takes it away again.
 * An administrator's own file is never touched.
 */
async function withTemporaryFile<T>(
  file: string,
  content: string,
  mode: number,
  action: () => Promise<T>,
): Promise<T> {
  if (existsSync(file)) return action();
  writeFileSync(file, content, { mode });
  try {
    return await action();
  } finally {
    rmSync(file, { force: true });
  }
}

/** Installs packages as root, without starting the services that come with them. True when all are there then. */
function install(packages: readonly DebianPackage[]): Promise<boolean> {
  const command = ['install', ...aptOptions, ...packages.map((wanted) => wanted.name)];
  // Exit code 101 is "action forbidden": no nginx on port 80, no PostgreSQL on port 5432.
  const noServices = '#!/bin/sh\nexit 101\n';
  return withTemporaryFile('/usr/sbin/policy-rc.d', noServices, 0o755, async () => {
    if (!packageListsAreOld(Date.now()) && (await aptGet(command))) return true;
    return (await aptGet(['update'])) && (await aptGet(command));
  });
}

function namesOf(packages: readonly DebianPackage[]): string {
  return packages.map((wanted) => wanted.name).join(' ');
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Brings in what `purposes` need; resolves to the exit code. */
async function main(purposes: readonly string[]): Promise<number> {
  const wanted = debianPackages.filter((candidate) => purposes.includes(candidate.neededBy));
  const missing = findMissing(wanted);
  if (missing.length === 0) return 0;

  const names = missing.map((candidate) => candidate.name);
  const mayInstall = process.getuid?.() === 0 && globSync('/usr/bin/apt-get').length > 0;
  if (mayInstall) {
    say(`Installing Debian packages that the tests need: ${names.join(' ')}…`);
    const installed = await install(missing);
    if (!installed) say('apt-get failed; its messages are above.');
  }
  const left = findMissing(missing);
  if (left.length === 0) return 0;

  say(`These Debian packages are missing: ${namesOf(left)}. Install them by:`);
  say(`  ${installCommand(left.map((candidate) => candidate.name))}`);
  if (process.env['CI'] === 'true') return 1;
  say('The tests that need them will fail and say so.');
  return 0;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  process.exitCode = await main(process.argv.slice(2));
}
