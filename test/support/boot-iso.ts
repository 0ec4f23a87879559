import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { writeInitrd } from './initrd.ts';
import { debianKernel } from './kernel.ts';
import { runProcess } from './process.ts';
import { makeTempDir } from './temp-dir.ts';

/**
 * Makes an ISO that boots Debian's kernel with the test's initrd on a BIOS machine, by isolinux.
 * Its command line is fixed, as in every ISO: the machine shows the booted marker with `name`.
 */
export async function makeBootIso(name: string, target: string): Promise<void> {
  await using root = await makeTempDir('iso');
  const kernel = await debianKernel();
  await mkdir(root.join('isolinux'));
  await copyFile(kernel.vmlinuz, root.join('vmlinuz'));
  await writeInitrd(kernel, root.join('initrd.img'));
  await copyFile('/usr/lib/ISOLINUX/isolinux.bin', root.join('isolinux/isolinux.bin'));
  await copyFile('/usr/lib/syslinux/modules/bios/ldlinux.c32', root.join('isolinux/ldlinux.c32'));
  const config = [
    'default linux',
    'label linux',
    '  kernel /vmlinuz',
    `  append initrd=/initrd.img console=ttyS0 holdfast.node=${name}`,
    '',
  ];
  await writeFile(root.join('isolinux/isolinux.cfg'), config.join('\n'));
  await runProcess('xorriso', [
    ...['-as', 'mkisofs', '-quiet', '-r', '-o', target],
    ...['-b', 'isolinux/isolinux.bin', '-c', 'isolinux/boot.cat'],
    ...['-no-emul-boot', '-boot-load-size', '4', '-boot-info-table', root.path],
  ]);
}
