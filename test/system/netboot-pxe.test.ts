import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type BootNetwork, openBootNetwork } from '../support/boot-network.ts';
import { startDnsmasq } from '../support/dnsmasq.ts';
import type { HubUnderTest } from '../support/hub.ts';
import { bootedMarker, installedMarker } from '../support/initrd.ts';
import { addMachine, nodeState, startHubIn, storeBootFile, storeKernel } from '../support/netboot-machine.ts';
import { bootVm } from '../support/qemu.ts';

/** Debian's GRUB for network boots; it looks for `/grub/grub.cfg` on the server that it came from. */
const debianGrub = '/usr/lib/grub/x86_64-efi/monolithic/grubnetx64.efi';

describe('a network whose DHCP server is configured by the hub', () => {
  const resources = new AsyncDisposableStack();
  let network: BootNetwork;
  let hub: HubUnderTest;

  beforeAll(async () => {
    network = resources.use(await openBootNetwork());
    hub = resources.use(await startHubIn(network));
    await storeKernel(hub);
    await storeBootFile(hub, '/grub/grubnetx64.efi', debianGrub);
  });

  afterAll(() => resources.disposeAsync());

  async function dnsmasqConfig(): Promise<string> {
    const query = new URLSearchParams({ interface: network.interface, range: network.range });
    const answer = await hub.api(`/api/v1/boot/dnsmasq.conf?${query}`);
    expect(answer.status).toBe(200);
    return await answer.text();
  }

  it(
    'boots a UEFI machine through PXE and Debian’s GRUB, all over the hub’s TFTP',
    { timeout: 120_000 },
    async () => {
      const grub = `dhcp-boot=tag:efi64,tag:!ipxe,grub/grubnetx64.efi,,${network.address}`;
      await using dhcp = await startDnsmasq(network, await dnsmasqConfig(), [grub]);
      const mac = '52:54:00:00:01:01';
      const machine = await addMachine(hub, { mac, firmware: 'uefi' });

      const console = await bootVm({
        firmware: 'uefi',
        mac,
        network,
        loader: 'uefi-pxe',
        marker: `${bootedMarker} ${machine.id}`,
        timeoutMs: 100_000,
      });
      console_debug(console, dhcp.log());

      expect(console).toContain(installedMarker);
      expect(await nodeState(hub, machine.id)).toBe('installed');
    },
  );
});
function console_debug(a: string, b: string) { process.stderr.write(a.slice(0, 6000) + '\n----\n' + b); process.stderr.write(hub_log()); }
function hub_log() { return ''; }
