import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { node } from '@holdfast/contract/nodes';
import { workflow } from '@holdfast/contract/workflows';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type HubUnderTest, startHub } from '../support/hub.ts';
import { bootBackend, json, uploadStream } from '../support/hub-storage.ts';
import { bootedMarker, installedMarker, writeInitrd } from '../support/initrd.ts';
import { debianKernel } from '../support/kernel.ts';
import { bootVm } from '../support/qemu.ts';
import { makeTempDir, type TempDir } from '../support/temp-dir.ts';

describe('a machine that boots from the network', () => {
  const resources = new AsyncDisposableStack();
  let hub: HubUnderTest;
  let work: TempDir;

  beforeAll(async () => {
    work = resources.use(await makeTempDir('netboot'));
    hub = resources.use(await startHub());
    const kernel = await debianKernel();
    await writeInitrd(kernel, work.join('initrd.img'));
    const { id } = await bootBackend(hub);
    for (const [path, file] of [
      ['/debian/vmlinuz', kernel.vmlinuz],
      ['/debian/initrd.img', work.join('initrd.img')],
    ] as const) {
      const { size } = await stat(file);
      const answer = await uploadStream(hub, id, path, createReadStream(file), size);
      expect(answer, answer.body).toMatchObject({ status: 201 });
    }
  });

  afterAll(() => resources.disposeAsync());

  it.each([
    { firmware: 'bios', mac: '52:54:00:00:00:01' },
    { firmware: 'uefi', mac: '52:54:00:00:00:02' },
  ] as const)(
    'boots its workflow by $firmware iPXE over HTTP and is installed by its one-time token',
    { timeout: 180_000 },
    async ({ firmware, mac }) => {
      const created = await hub.data(
        workflow,
        '/api/v1/workflows',
        json('POST', {
          name: `Debian ${firmware}`,
          install_method: 'kernel',
          kernel_path: '/debian/vmlinuz',
          initrd_path: '/debian/initrd.img',
          cmdline:
            'console=ttyS0 holdfast.server=${server} holdfast.node=${node_id} holdfast.token=${node_token}',
          architecture: 'x86_64',
          boot_mode: firmware,
        }),
      );
      const registration = { mac, name: `machine-${firmware}`, state: 'pending', workflow_id: created.id };
      const machine = await hub.data(node, '/api/v1/nodes', json('POST', registration));
      expect(machine.state).toBe('pending');

      const console = await bootVm({
        firmware,
        mac,
        bootfile: `http://10.0.2.2:${new URL(hub.url).port}/api/v1/ipxe/boot.ipxe`,
        marker: `${bootedMarker} ${machine.id}`,
        timeoutMs: 150_000,
      });

      expect(console).toContain(installedMarker);
      const after = await hub.data(node, `/api/v1/nodes/${machine.id}`);
      expect(after.state).toBe('installed');
    },
  );
});
