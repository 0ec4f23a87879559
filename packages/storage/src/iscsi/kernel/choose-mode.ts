import { misconfigured } from '../initiator/login-failure.ts';
import { runTool } from '../stack/tool.ts';
import type { ToolName } from '../stack/tool.ts';
import { hasFile, hasTool } from './tool-path.ts';

/** What this machine has of what the two modes need. */
export interface Machine {
  hasTool(tool: ToolName): Promise<boolean>;
  hasFile(path: string): Promise<boolean>;
  /** Whether a kernel module is loaded or can be. */
  hasModule(name: string): Promise<boolean>;
}

/** The machine that this runs on. */
const thisMachine: Machine = {
  hasTool,
  hasFile,
  hasModule: async (name) => {
    if (await hasFile(`/sys/module/${name}`)) return true;
    if (!(await hasTool('modprobe'))) return false;
    return runTool('modprobe', ['--dry-run', name]).then(
      () => true,
      () => false,
    );
  },
};

const kernelTools: readonly ToolName[] = ['iscsiadm', 'sg_persist', 'mount', 'unshare'];
const directTools: readonly ToolName[] = ['nbdfuse', 'fusermount3', 'losetup', 'mount', 'unshare', 'setpriv'];

async function missingFor(mode: 'kernel' | 'direct', machine: Machine): Promise<string[]> {
  const missing: string[] = [];
  for (const tool of mode === 'kernel' ? kernelTools : directTools) {
    if (!(await machine.hasTool(tool))) missing.push(`the program ${tool}`);
  }
  if (mode === 'kernel') {
    if (!(await machine.hasModule('iscsi_tcp'))) missing.push('the kernel module iscsi_tcp');
  } else {
    for (const device of ['/dev/fuse', '/dev/loop-control']) {
      if (!(await machine.hasFile(device))) missing.push(`the device ${device}`);
    }
  }
  return missing;
}

/**
 * Whether a LUN is attached by the kernel (open-iscsi) or by this program. `auto` prefers the kernel, where it can.
 * @throws HoldfastError `backend_unavailable` with the field `config.mode` and what is missing on the hub
 */
export async function chooseMode(
  mode: 'auto' | 'kernel' | 'direct' = 'auto',
  machine: Machine = thisMachine,
): Promise<'kernel' | 'direct'> {
  const kernel = mode === 'direct' ? undefined : await missingFor('kernel', machine);
  if (kernel?.length === 0) return 'kernel';
  if (mode === 'kernel') {
    throw misconfigured(
      'config.mode',
      `The mode kernel needs what the hub does not have: ${(kernel ?? []).join(', ')}. Install the packages open-iscsi, ` +
        "sg3-utils and kmod (the names are Debian's), or set mode to direct.",
    );
  }
  const direct = await missingFor('direct', machine);
  if (direct.length === 0) return 'direct';
  throw misconfigured(
    'config.mode',
    `The mode direct needs what the hub does not have: ${direct.join(', ')}. Install the packages libnbd-bin, fuse3 and ` +
      "mount (the names are Debian's), and give the hub /dev/fuse and loop devices.",
  );
}
