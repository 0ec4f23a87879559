import { expect, it } from 'vitest';
import { openBootNetwork } from '../support/boot-network.ts';
import { startDnsmasq } from '../support/dnsmasq.ts';
import { makeHttpGrub } from '../support/grub-image.ts';
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
import { makeTempDir } from '../support/temp-dir.ts';

it('boots a UEFI machine by HTTP Boot through GRUB, which fetches all by HTTP', async () => {
  await using work = await makeTempDir('grub-image');
  await using network = await openBootNetwork();
  const { address } = network;
  const port = '8080';
  // GRUB 2.06 leaves the port out of its Host header, so the hub cannot tell how it was reached.
  const env = { HOLDFAST_PORT: port };
  await using hub = await startHubIn(network, env);
  await storeKernel(hub);
  await makeHttpGrub(`(http,${address}:${port})/api/v1/files/grub`, work.join('grubx64.efi'));
  await storeBootFile(hub, '/grub/grubx64.efi', work.join('grubx64.efi'));
  const grub = `dhcp-boot=tag:efihttp,tag:!ipxe,${hub.url}/api/v1/files/grub/grubx64.efi`;
  await using dhcp = await startDnsmasq(network, await renderedDnsmasq(hub, network), [grub]);
  const mac = '52:54:00:00:05:01';
  const machine = await addMachine(hub, { mac, firmware: 'uefi' });

  const console = await bootVm({
    firmware: 'uefi',
    loader: 'uefi-http',
    mac,
    network,
    marker: `${bootedMarker} ${machine.id}`,
    timeoutMs: 240_000,
  });

  expect(console).toContain('Welcome to GRUB!');
  expect(console).toContain(installedMarker);
  expect(await nodeState(hub, machine.id)).toBe('installed');
  expect(dhcp.log()).toContain('HTTPClient:Arch:00016');
  expect(await counterOf(hub, 'holdfast_sent_bytes_total', 'protocol="tftp"')).toBe(0);
});
