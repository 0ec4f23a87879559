import { errnoOf } from '@holdfast/bytes/file-system-error';
import { HoldfastError } from '@holdfast/contract/errors';
import { execFile } from 'node:child_process';

/** The Debian package of each program that is run. */
const packages = {
  dumpe2fs: 'e2fsprogs',
  e2fsck: 'e2fsprogs',
  env: 'coreutils',
  fusermount3: 'fuse3',
  iscsiadm: 'open-iscsi',
  losetup: 'mount',
  'mkfs.ext4': 'e2fsprogs',
  'mkfs.xfs': 'xfsprogs',
  modprobe: 'kmod',
  mount: 'mount',
  nbdfuse: 'libnbd-bin',
  setpriv: 'util-linux',
  sg_persist: 'sg3-utils',
  umount: 'mount',
  unshare: 'util-linux',
  xfs_logprint: 'xfsprogs',
} as const;
export type ToolName = keyof typeof packages;

/**
 * What the programs get of the hub's environment: not the secrets that are handed to a hub by variables. Administration
 * programs are not on every user's PATH.
 */
export function toolEnvironment(): NodeJS.ProcessEnv {
  const { HOME, PATH = '', TMPDIR, TZ } = process.env;
  return { LC_ALL: 'C', HOME, TMPDIR, TZ, PATH: `${PATH}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin` };
}

const maxOutputBytes = 4 * 1024 * 1024;

export interface ToolResult {
  code: number;
  stdout: string;
  stderr: string;
}

/** The error for a program that is not installed. */
export function toolMissing(tool: ToolName, cause?: unknown): HoldfastError {
  const text = `The program ${tool} is missing on the hub: install the package ${packages[tool]} (the name is Debian's).`;
  return new HoldfastError('backend_unavailable', text, { retryable: false, cause });
}

/**
 * Runs a program to its end. Arguments are seen by every user of the machine: no secrets in them.
 * @param options.okCodes exit statuses that are no failure. Default: 0
 * @throws HoldfastError `backend_unavailable` with the last lines of what the program said
 */
export async function runTool(
  tool: ToolName,
  args: readonly string[],
  options: { cwd?: string; okCodes?: readonly number[]; timeoutMs?: number } = {},
): Promise<ToolResult> {
  const { cwd, okCodes = [0], timeoutMs = 0 } = options;
  return new Promise((resolve, reject) => {
    const settings = { cwd, env: toolEnvironment(), timeout: timeoutMs, maxBuffer: maxOutputBytes };
    const child = execFile(tool, args, settings, (error, stdout, stderr) => {
      if (errnoOf(error) === 'ENOENT') {
        reject(toolMissing(tool, error));
        return;
      }
      const code = child.exitCode;
      if (code !== null && okCodes.includes(code)) {
        resolve({ code, stdout, stderr });
        return;
      }
      const said = `${stderr}\n${stdout}`.trim().split('\n').slice(-4).join(' ').trim();
      const how = code === null ? 'was ended' : `failed with status ${code}`;
      const text = `\`${tool}\` ${how}${said === '' ? '' : `: ${said}`}`;
      reject(new HoldfastError('backend_unavailable', text.endsWith('.') ? text : `${text}.`));
    });
  });
}
