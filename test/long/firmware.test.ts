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
  storeKernel,
} from '../support/netboot-machine.ts';
import { type BootNetworkOptions, bootVm } from '../support/qemu.ts';

const timeoutMs = 240_000;
const sentByTftp = ['holdfast_sent_bytes_total', 'protocol="tftp"'] as const;

describe('UEFI firmware in a network whose DHCP server is configured by the hub', () => {
  const resources = new AsyncDisposableStack();
  let network: BootNetwork;
  let hub: HubUnderTest;

  beforeAll(async () => {
    network = resources.use(await openBootNetwork());
    hub = resources.use(await startHubIn(network));
    await storeKernel(hub);
  });

  afterAll(() => resources.disposeAsync());

  /** Boots a new machine to its end: Linux is up, and the hub has taken its token. */
  async function expectInstalled(mac: string, loader: BootNetworkOptions['loader']): Promise<void> {
    const machine = await addMachine(hub, { mac, firmware: 'uefi' });
    const marker = `${bootedMarker} ${machine.id}`;
    const console = await bootVm({ firmware: 'uefi', loader, mac, network, marker, timeoutMs });
    expect(console).toContain(installedMarker);
    expect(await nodeState(hub, machine.id)).toBe('installed');
  }

  it('boots by HTTP Boot through the installed iPXE, with nothing sent over TFTP', async () => {
    await using dhcp = await startDnsmasq(network, await renderedDnsmasq(hub, network));
    const before = await counterOf(hub, ...sentByTftp);
    await expectInstalled('52:54:00:00:02:01', 'uefi-http');
    expect(dhcp.log()).toContain('HTTPClient:Arch:00016');
    expect(await counterOf(hub, ...sentByTftp)).toBe(before);
  });

  it('boots by PXE through the installed iPXE', async () => {
    await using _dhcp = await startDnsmasq(network, await renderedDnsmasq(hub, network));
    const before = await counterOf(hub, ...sentByTftp);
    await expectInstalled('52:54:00:00:02:03', 'uefi-pxe');
    expect(await counterOf(hub, ...sentByTftp)).toBeGreaterThan(before);
  });

  it('boots by PXE beside a DHCP server that knows nothing of booting', async () => {
    await using router = await network.addHost();
    const plain = [
      'port=0',
      `interface=${router.interface}`,
      'bind-interfaces',
      `dhcp-range=${network.range},12h`,
    ];
    await using addresses = await startDnsmasq(router, plain.join('\n'));
    await using proxy = await startDnsmasq(network, await renderedDnsmasq(hub, network, network.network));
    await expectInstalled('52:54:00:00:02:04', 'uefi-pxe');
    expect(addresses.log()).toContain('DHCPACK');
    expect(proxy.log()).toContain('PXE(');
  });
});
