import { readFile } from 'node:fs/promises';
import { HoldfastError } from '@holdfast/contract/errors';

/** Where Debian's package `ipxe` puts what machines load first. */
const INSTALLED: Partial<Record<string, string>> = {
  '/undionly.kpxe': '/usr/lib/ipxe/undionly.kpxe',
  '/ipxe.efi': '/usr/lib/ipxe/ipxe.efi',
  '/snponly.efi': '/usr/lib/ipxe/snponly.efi',
};

/**
 * The installed iPXE that stands in for a boot file that the backend does not have; null for other paths.
 * @throws HoldfastError `file_not_found` when it is not installed either
 */
export async function installedFirmware(path: string): Promise<Buffer | null> {
  const file = INSTALLED[path];
  if (file === undefined) return null;
  try {
    return await readFile(file);
  } catch (error) {
    throw new HoldfastError(
      'file_not_found',
      `${path} is neither on the boot backend nor installed: upload it, or install the Debian package ipxe.`,
      { cause: error },
    );
  }
}
