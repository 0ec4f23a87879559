import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../support/free-port.ts';
import { type HubUnderTest, startHub } from '../support/hub.ts';
import { bootedMarker, installedMarker } from '../support/initrd.ts';
import { addMachine, nodeState, storeKernel } from '../support/netboot-machine.ts';
import { bootVm } from '../support/qemu.ts';

/** The test's own loopback as machines behind QEMU's user network see it. */
const host = '10.0.2.2';

describe('a machine that boots from the network', () => {
  const resources = new AsyncDisposableStack();
  let hub: HubUnderTest;

  beforeAll(async () => {
    // Over TFTP nothing tells the hub how the machine sees it, and QEMU's user network hides that.
    const port = await freePort();
    const env = {
      HOLDFAST_PORT: String(port),
      HOLDFAST_PUBLIC_URL: `http://${host}:${port}`,
      HOLDFAST_TFTP_PORT: '0',
    };
    hub = resources.use(await startHub({ env }));
    await storeKernel(hub);
  });

  afterAll(() => resources.disposeAsync());

  const overHttp = (): string => `http://${host}:${new URL(hub.url).port}/api/v1/ipxe/boot.ipxe`;
  const overTftp = (): string => `tftp://${host}:${hub.tftp?.split(':').at(-1)}/autoexec.ipxe`;

  it.each([
    { firmware: 'bios', first: 'HTTP', bootfile: overHttp, mac: '52:54:00:00:00:01' },
    { firmware: 'uefi', first: 'HTTP', bootfile: overHttp, mac: '52:54:00:00:00:02' },
    { firmware: 'bios', first: 'TFTP', bootfile: overTftp, mac: '52:54:00:00:00:03' },
  ] as const)(
    'boots its workflow by $firmware iPXE, which begins over $first, and is installed by its one-time token',
    { timeout: 180_000 },
    async ({ firmware, bootfile, mac }) => {
      const machine = await addMachine(hub, { mac, firmware });
      expect(machine.state).toBe('pending');

      const console = await bootVm({
        firmware,
        mac,
        bootfile: bootfile(),
        marker: `${bootedMarker} ${machine.id}`,
        timeoutMs: 150_000,
      });

      expect(console).toContain(installedMarker);
      expect(await nodeState(hub, machine.id)).toBe('installed');
    },
  );
});
