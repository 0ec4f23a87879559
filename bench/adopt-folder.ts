import type { HubUnderTest } from '@holdfast/test-support/hub';
import { changeSettings, createLocalBackend } from '@holdfast/test-support/hub-storage';

/** Makes a folder the hub's boot backend. */
export async function adoptFolder(hub: HubUnderTest, root: string): Promise<void> {
  const { id } = await createLocalBackend(hub, 'bench', root);
  await changeSettings(hub, { default_boot_backend_id: id });
}
