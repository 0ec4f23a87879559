import { type NodePreview, nodePreview } from '@holdfast/contract/nodes';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Ext4Volume, mountExt4 } from '../support/ext4-volume.ts';
import { type HubUnderTest, startHub } from '../support/hub.ts';
import { changeSettings, createLocalBackend } from '../support/hub-storage.ts';
import { addMachine, storeKernel } from '../support/netboot-machine.ts';

describe('the preflight of a node', () => {
  const resources = new AsyncDisposableStack();
  let volume: Ext4Volume;
  let hub: HubUnderTest;

  beforeAll(async () => {
    volume = resources.use(await mountExt4(128 * 1024 * 1024));
    hub = resources.use(await startHub({ prefix: volume.prefix }));
    const { id } = await createLocalBackend(hub, 'rotting disk', volume.root);
    await changeSettings(hub, { default_boot_backend_id: id });
    await storeKernel(hub);
  });

  afterAll(() => resources.disposeAsync());

  it('finds the file whose bytes rotted on the disk, which no time or size tells, and says what to do', async () => {
    const machine = await addMachine(hub, { mac: '52:54:00:00:04:01', firmware: 'bios' });
    const preview = (): Promise<NodePreview> => hub.data(nodePreview, `/api/v1/nodes/${machine.id}/preview`);
    const before = await preview();
    expect(before.files).toMatchObject([
      { role: 'kernel', verified: true, problem: null },
      { role: 'initrd', verified: true, problem: null },
    ]);

    await hub.kill('SIGTERM');
    await volume.rot('/debian/vmlinuz');
    await hub.restart();

    const after = await preview();
    expect(after.files).toMatchObject([
      {
        role: 'kernel',
        path: '/debian/vmlinuz',
        exists: true,
        verified: false,
        checksum_sha256: before.files[0]?.checksum_sha256,
        problem: 'The bytes are no longer those that were stored: upload the file again.',
      },
      { role: 'initrd', verified: true, problem: null },
    ]);

    await storeKernel(hub);
    expect((await preview()).files).toMatchObject([{ verified: true }, { verified: true }]);
  });
});
