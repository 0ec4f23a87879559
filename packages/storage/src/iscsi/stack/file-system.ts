import { HoldfastError } from '@holdfast/contract/errors';
import { signatureNames } from '../signature.ts';
import type { Signature } from '../signature.ts';
import { runTool } from './tool.ts';
import type { VolumeStart } from './volume-start.ts';

export type FileSystemType = VolumeStart['filesystem'];

function refuse(field: string, message: string): never {
  throw new HoldfastError('validation_failed', message, { errors: [{ field, message }] });
}

/**
 * Whether the LUN is to be mounted or formatted first, by what is on it.
 * @throws HoldfastError `validation_failed`: nothing to mount, another file system, or a LUN in use that was to be formatted
 */
export function planFileSystem(
  signatures: readonly Signature[],
  filesystem: FileSystemType,
  options: { format: boolean; isWriteProtected: boolean },
): 'mount' | 'format' {
  const names = signatureNames(signatures);
  if (options.format) {
    if (signatures.length > 0) {
      refuse(
        'config.lun',
        `The LUN is not formatted, because it carries something already (${names}). To use what is on it, leave the ` +
          'formatting out; to throw it away, clear the LUN at the target first.',
      );
    }
    if (options.isWriteProtected)
      refuse('config.lun', 'The LUN cannot be formatted: it is write-protected at the target.');
    return 'format';
  }
  if (signatures.length === 0) {
    refuse('config.lun', 'The LUN is blank. Ask for it to be formatted, or check the fields target and lun.');
  }
  if (!signatures.some(({ type }) => type === filesystem)) {
    refuse(
      'config.filesystem',
      `The LUN carries ${names} and not ${filesystem}. Check the fields filesystem, target and lun.`,
    );
  }
  return 'mount';
}

/** Makes a file system on a blank device, or on the file that stands for it. */
export async function formatDevice(device: string, filesystem: FileSystemType): Promise<void> {
  // Without -F and -f: both programs look for signatures themselves, and refuse a device that has one.
  if (filesystem === 'ext4') {
    const features = 'metadata_csum,64bit';
    await runTool('mkfs.ext4', [
      '-q',
      '-L',
      'holdfast',
      '-m',
      '0',
      '-O',
      features,
      '-E',
      'nodiscard',
      device,
    ]);
  } else {
    await runTool('mkfs.xfs', ['-q', '-L', 'holdfast', '-K', device]);
  }
}

/** What e2fsck says with its exit status: bits, 4 and up for what it could not mend (e2fsck(8)). */
const checkedAndSound = [0, 1];

/**
 * Replays the journal after a crash and mends what can be mended without asking. XFS does that when it is mounted.
 * @throws HoldfastError `backend_unavailable`, not retryable, when a person has to look at it
 */
export async function checkDevice(device: string, filesystem: FileSystemType): Promise<void> {
  if (filesystem === 'xfs') return;
  const okCodes = Array.from({ length: 256 }, (_, code) => code);
  const { code, stdout, stderr } = await runTool('e2fsck', ['-p', device], { okCodes });
  if (checkedAndSound.includes(code)) return;
  const said = `${stdout} ${stderr}`.trim().split('\n').slice(-3).join(' ');
  throw new HoldfastError(
    'backend_unavailable',
    `The file system on the LUN is damaged and e2fsck cannot mend it by itself (status ${code}): ${said}. ` +
      'Stop the hub and run e2fsck on the LUN by hand.',
    { retryable: false },
  );
}

/** Mounts a device for files alone: no devices, no programs, no set-user-id on it count. */
export async function mountDevice(
  device: string,
  mountPoint: string,
  filesystem: FileSystemType,
  options: { readOnly: boolean },
): Promise<void> {
  const flags = ['nodev', 'nosuid', 'noexec', 'noatime'];
  // Errors of metadata stop all writing at once, instead of spreading.
  if (filesystem === 'ext4') flags.push('errors=remount-ro');
  // A device that cannot be written to cannot have its journal replayed either.
  if (options.readOnly) flags.push('ro', filesystem === 'ext4' ? 'noload' : 'norecovery');
  await runTool('mount', ['-t', filesystem, '-o', flags.join(','), device, mountPoint]);
}

/** Whether the journal is empty, as it has to be after a clean unmount: otherwise something still has it mounted. */
export async function isJournalClean(device: string, filesystem: FileSystemType): Promise<boolean> {
  if (filesystem === 'ext4') {
    const { stdout } = await runTool('dumpe2fs', ['-h', device]);
    return !/^Filesystem features:.*\bneeds_recovery\b/m.test(stdout);
  }
  const { stdout } = await runTool('xfs_logprint', ['-t', device]);
  return stdout.includes('<CLEAN>');
}
