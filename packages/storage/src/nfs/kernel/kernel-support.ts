import { existsSync, readFileSync } from 'node:fs';
import { release } from 'node:os';

/** What of this machine decides whether the kernel's NFS client can be used. */
export interface KernelSupport {
  platform: string;
  uid: number | undefined;
  /** The text of /proc/filesystems. */
  fileSystems: string;
  /** The modules of the running kernel can be loaded, and those of NFS are among them. */
  hasModules: boolean;
  hasMountHelper: boolean;
}

const mountHelpers = ['/sbin/mount.nfs', '/usr/sbin/mount.nfs'];

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // Not there, or not for us: then it says nothing.
    return '';
  }
}

/** Looks at this machine; a few small files of the kernel's, which never block. */
export function lookAtKernel(): KernelSupport {
  const modules = `/lib/modules/${release()}`;
  return {
    platform: process.platform,
    uid: process.getuid?.(),
    fileSystems: readOrEmpty('/proc/filesystems'),
    hasModules: /\/nfs\.ko/.test(
      readOrEmpty(`${modules}/modules.dep`) + readOrEmpty(`${modules}/modules.builtin`),
    ),
    hasMountHelper: mountHelpers.some((path) => existsSync(path)),
  };
}

/** Why the kernel's client cannot be used here, as a sentence, or undefined when it seems that it can. */
export function kernelObstacle(support: KernelSupport): string | undefined {
  if (support.platform !== 'linux') return 'Shares are mounted on Linux only.';
  if (support.uid !== 0) return 'Mounting needs root, and Holdfast runs as another user.';
  if (!support.hasMountHelper) {
    return 'The program mount.nfs is missing. Install the Debian package nfs-common.';
  }
  const isKnown = support.fileSystems.split('\n').some((line) => /(^|\s)nfs4?$/.test(line));
  if (isKnown || support.hasModules) return undefined;
  return 'The kernel has no NFS client: /proc/filesystems does not list nfs, and there is no module to load.';
}
