import { copyFile, writeFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { bootedMarker, writeInitrd } from './initrd.ts';
import { debianKernel } from './kernel.ts';
import { startNginx } from './nginx.ts';
import { bootVm } from './qemu.ts';
import { makeTempDir } from './temp-dir.ts';

/** Proves the recipes by themselves, so that a failing netboot of the hub is the hub's. */
it.each(['bios', 'uefi'] as const)(
  'a %s machine boots from a plain web server',
  { timeout: 150_000 },
  async (firmware) => {
    await using root = await makeTempDir('www');
    await using server = await startNginx(root.path);
    const kernel = await debianKernel();
    await copyFile(kernel.vmlinuz, root.join('vmlinuz'));
    await writeInitrd(kernel, root.join('initrd.img'));
    const base = `http://10.0.2.2:${server.port}`;
    const script = [
      '#!ipxe',
      `kernel ${base}/vmlinuz initrd=initrd.img console=ttyS0 holdfast.node=plain-${firmware}`,
      `initrd ${base}/initrd.img`,
      'boot',
    ];
    await writeFile(root.join('boot.ipxe'), `${script.join('\n')}\n`);
    const marker = `${bootedMarker} plain-${firmware}`;
    const console = await bootVm({ firmware, bootfile: `${base}/boot.ipxe`, marker, timeoutMs: 120_000 });
    expect(console).toContain('reboot: Power down');
  },
);
