import { HoldfastError, isHoldfastError } from '@holdfast/contract/errors';
import type { NfsConfig } from '../config.ts';

/** Why a share could not be mounted. */
export interface MountProblem {
  /** `unsupported`: not on this machine, whatever the share. */
  kind: 'config' | 'unavailable' | 'unsupported';
  /** The field to look at. */
  field: keyof NfsConfig;
  /** The rest of a sentence. */
  message: string;
}

const known: readonly (readonly [pattern: RegExp, problem: MountProblem])[] = [
  [
    /access denied by server/i,
    {
      kind: 'config',
      field: 'export_path',
      message: "the server refuses this machine; check the export's client list and config.export_path",
    },
  ],
  [
    /mount\.nfs.*not found|need a .*helper program/i,
    {
      kind: 'unsupported',
      field: 'mode',
      message: 'mount.nfs is missing; install the Debian package nfs-common, or use config.mode direct',
    },
  ],
  [
    /incorrect mount option|bad option|parsing error|unknown.*option/i,
    {
      kind: 'config',
      field: 'mount_options',
      message: 'mount(8) does not take one of the options in config.mount_options',
    },
  ],
  [
    /failed to resolve|name or service not known|temporary failure in name resolution/i,
    { kind: 'config', field: 'server', message: 'the name of the server is not known; check config.server' },
  ],
  [
    /no such device|unknown filesystem type/i,
    {
      kind: 'unsupported',
      field: 'mode',
      message: 'the kernel has no NFS client, or not of this version; use config.mode direct',
    },
  ],
  [
    /only root|must be superuser|failed to apply fstab|operation not permitted|permission denied/i,
    {
      kind: 'unsupported',
      field: 'mode',
      message: 'this process may not mount (a container without CAP_SYS_ADMIN?); use config.mode direct',
    },
  ],
  [
    /no such file or directory/i,
    {
      kind: 'config',
      field: 'export_path',
      message: 'the server exports no such folder to this machine; check config.export_path',
    },
  ],
  [
    /protocol not supported|requested nfs version/i,
    {
      kind: 'config',
      field: 'mount_options',
      message:
        'the server does not serve this version of NFS; check that it runs, and vers= and mountport= in ' +
        'config.mount_options',
    },
  ],
];

/** Reads what mount(8) printed. What is not known is taken for a server that cannot be reached. */
export function explainMountOutput(output: string): MountProblem {
  const found = known.find(([pattern]) => pattern.test(output));
  if (found !== undefined) return found[1];
  const text = output.trim().split('\n').at(-1)?.replace(/\.$/, '') ?? '';
  const message = `the server cannot be mounted from (${text === '' ? 'mount(8) does not say why' : text}); check that it runs, config.server and config.port`;
  return { kind: 'unavailable', field: 'server', message };
}

/**
 * A failed mount as one of our errors, with the field to look at when that is at fault.
 * @param source `server:/path`
 */
export function mountError(problem: MountProblem, source: string, cause: unknown): HoldfastError {
  const { kind, field, message } = problem;
  const text = `${source} cannot be mounted: ${message}. Nothing was written.`;
  if (kind === 'unavailable') return new HoldfastError('backend_unavailable', text, { cause });
  return new HoldfastError('backend_unavailable', text, {
    errors: [{ field: `config.${field}`, message }],
    cause,
  });
}

/** Whether the kernel of this machine cannot mount, whatever the share; our own client may. */
export function isUnsupported(error: unknown): error is HoldfastError {
  return isHoldfastError(error) && error.errors?.[0]?.field === 'config.mode';
}
