import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type BootNetwork, openBootNetwork } from '../support/boot-network.ts';
import { startDnsmasq } from '../support/dnsmasq.ts';
import type { HubUnderTest } from '../support/hub.ts';
import { bootedMarker, installedMarker } from '../support/initrd.ts';
import {
  addMachine,
  counterOf,
  nodeState,
  renderedDnsmasq,
  startHubIn,
  storeBootFile,
  storeKernel,
} from '../support/netboot-machine.ts';
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

  it(
    'boots a UEFI machine through PXE and Debian’s GRUB, all over the hub’s TFTP',
    { timeout: 150_000 },
    async () => {
      const grub = `dhcp-boot=tag:efi64,tag:!ipxe,grub/grubnetx64.efi,,${network.address}`;
      await using dhcp = await startDnsmasq(network, await renderedDnsmasq(hub, network), [grub]);
      const mac = '52:54:00:00:01:01';
      const machine = await addMachine(hub, { mac, firmware: 'uefi' });

      const marker = `${bootedMarker} ${machine.id}`;
      const boot = {
        firmware: 'uefi',
        loader: 'uefi-pxe',
        mac,
        network,
        marker,
        timeoutMs: 120_000,
      } as const;
      const console = await bootVm(boot);

      expect(console).toContain(installedMarker);
      expect(await nodeState(hub, machine.id)).toBe('installed');
      expect(dhcp.log()).toContain('PXEClient:Arch:00007');
      const sent = 'holdfast_sent_bytes_total';
      expect(await counterOf(hub, sent, 'protocol="http"')).toBe(0);
      expect(await counterOf(hub, sent, 'protocol="tftp"')).toBeGreaterThan(8_000_000);
    },
  );

  it('boots a BIOS machine through the iPXE of its network card', { timeout: 150_000 }, async () => {
    await using dhcp = await startDnsmasq(network, await renderedDnsmasq(hub, network));
    const mac = '52:54:00:00:01:02';
    const machine = await addMachine(hub, { mac, firmware: 'bios' });

    const marker = `${bootedMarker} ${machine.id}`;
    const boot = { firmware: 'bios', loader: 'ipxe', mac, network, marker, timeoutMs: 120_000 } as const;
    const console = await bootVm(boot);

    expect(console).toContain(installedMarker);
    expect(await nodeState(hub, machine.id)).toBe('installed');
    expect(dhcp.log()).toContain('PXEClient:Arch:00000');
  });
});
