import { writeFile } from 'node:fs/promises';
import { runProcess } from './process.ts';
import { makeTempDir } from './temp-dir.ts';

/** What a machine needs to fetch its configuration, kernel and initrd by HTTP, and to run them. */
const modules = [
  ...['efinet', 'net', 'http', 'normal', 'configfile', 'linux', 'boot'],
  ...['test', 'true', 'echo', 'sleep'],
];

/**
 * Makes a GRUB for UEFI machines whose every file comes over HTTP, from under `prefix`, such as
 * `(http,10.0.0.5:8080)/api/v1/files/grub`. GRUB 2.06 does not take over the lease of UEFI HTTP Boot, so it asks
 * DHCP itself.
 */
export async function makeHttpGrub(prefix: string, target: string): Promise<void> {
  await using work = await makeTempDir('grub');
  const early = work.join('early.cfg');
  const lines = [
    'net_bootp',
    // A lease that GRUB took itself sets the variables of its interface, not the default ones.
    'set net_default_mac="$net_efinet0_dhcp_mac"',
    'export net_default_mac',
    `configfile '${prefix}/grub.cfg'`,
  ];
  await writeFile(early, `${lines.join('\n')}\n`);
  await runProcess('grub-mkimage', [
    ...['--format', 'x86_64-efi', '--prefix', prefix, '--config', early, '--output', target],
    ...modules,
  ]);
}
