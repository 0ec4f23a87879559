import { stat } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { makeBootIso } from '../support/boot-iso.ts';
import { startHub } from '../support/hub.ts';
import { bootedMarker } from '../support/initrd.ts';
import { addMachine, counterOf, nodeState, storeBootFile } from '../support/netboot-machine.ts';
import { bootVm } from '../support/qemu.ts';
import { makeTempDir } from '../support/temp-dir.ts';

it('boots an ISO by sanboot, in ranges that are sent once each and not as the whole file', async () => {
  await using work = await makeTempDir('sanboot');
  await using hub = await startHub();
  await makeBootIso('from-iso', work.join('debian.iso'));
  await storeBootFile(hub, '/images/debian.iso', work.join('debian.iso'));
  const mac = '52:54:00:00:03:01';
  const machine = await addMachine(hub, {
    mac,
    firmware: 'bios',
    workflow: { install_method: 'sanboot', boot_url: '/images/debian.iso' },
  });

  await bootVm({
    firmware: 'bios',
    mac,
    bootfile: `http://10.0.2.2:${new URL(hub.url).port}/api/v1/ipxe/boot.ipxe`,
    marker: `${bootedMarker} from-iso`,
    timeoutMs: 240_000,
  });

  const ranges = await counterOf(
    hub,
    'holdfast_http_requests_total',
    'method="GET",route="/api/v1/files/{path*}",status="206"',
  );
  expect(ranges).toBeGreaterThan(100);
  const sent = await counterOf(hub, 'holdfast_sent_bytes_total', 'protocol="http"');
  const { size } = await stat(work.join('debian.iso'));
  expect(sent).toBeGreaterThan(size / 2);
  expect(await nodeState(hub, machine.id)).toBe('installing');
});
