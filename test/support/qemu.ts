import { copyFile } from 'node:fs/promises';
import type { BootNetwork } from './boot-network.ts';
import { startProcess } from './process.ts';
import { makeTempDir } from './temp-dir.ts';

interface CommonOptions {
  firmware: 'bios' | 'uefi';
  /** Text that the serial console must show. */
  marker: string;
  /** Milliseconds from power on to power off; the machine is killed after that. */
  timeoutMs: number;
  /** Default: QEMU's own 52:54:00:12:34:56. */
  mac?: string;
}

/** Behind QEMU's user network, whose DHCP names a boot file and nothing else; needs no root. */
interface UserNetworkOptions {
  /** URL that DHCP hands to the network card's iPXE. The machine sees this host's loopback as 10.0.2.2. */
  bootfile: string;
}

/** In a network with a DHCP server of the test's own. */
export interface BootNetworkOptions {
  network: BootNetwork;
  /** What boots: iPXE in the card's option ROM, or the UEFI firmware's own PXE or HTTP Boot. */
  loader: 'ipxe' | 'uefi-pxe' | 'uefi-http';
}

export type BootOptions = CommonOptions & (UserNetworkOptions | BootNetworkOptions);

/**
 * Boots a machine from the network and waits until it has shown the marker and switched itself off. Emulated (TCG),
 * so it runs without KVM. Resolves to the serial console's text. Throws, with the console's tail, when the marker is
 * missing or time is over.
 */
export async function bootVm(options: BootOptions): Promise<string> {
  const { firmware, marker, timeoutMs, mac = '52:54:00:12:34:56' } = options;
  await using work = await makeTempDir('vm');
  const machine = firmware === 'bios' ? biosMachine : await uefiMachine(work.join('vars.fd'));
  const { program, args } = networkOf(options, mac);
  await using vm = await startProcess(program[0], [
    ...[...program.slice(1), '-accel', 'tcg', '-cpu', 'max', ...machine],
    ...[
      '-display',
      'none',
      '-nodefaults',
      '-no-reboot',
      '-monitor',
      'none',
      '-serial',
      'stdio',
      '-boot',
      'n',
    ],
    ...args,
  ]);
  const timeUp = AbortSignal.timeout(timeoutMs);
  timeUp.addEventListener('abort', () => vm.kill('SIGKILL'));
  const { code } = await vm.exited;
  const console = vm.stdout();
  const tail = `--- serial console ---\n${console.slice(-4000)}\n--- qemu ---\n${vm.stderr()}`;
  if (timeUp.aborted) throw new Error(`The ${firmware} machine was still on after ${timeoutMs} ms.\n${tail}`);
  if (code !== 0) throw new Error(`QEMU ended with status ${code}.\n${tail}`);
  if (!console.includes(marker))
    throw new Error(`The serial console never showed ${JSON.stringify(marker)}.\n${tail}`);
  return console;
}

/** How QEMU is called, and its arguments for the network. */
interface NetworkCommand {
  program: readonly [string, ...string[]];
  args: string[];
}

function networkOf(options: BootOptions, mac: string): NetworkCommand {
  const qemu = 'qemu-system-x86_64';
  if ('bootfile' in options) {
    const netdev = `user,id=n0,bootfile=${options.bootfile}`;
    return { program: [qemu], args: ['-netdev', netdev, '-device', `virtio-net-pci,netdev=n0,mac=${mac}`] };
  }
  const { loader, network } = options;
  const netdev = `tap,id=n0,ifname=${network.tap},script=no,downscript=no`;
  // Without the option ROM the firmware drives the card itself.
  const rom = loader === 'ipxe' ? '' : ',romfile=';
  return {
    program: [...network.prefix, qemu],
    args: [
      ...['-netdev', netdev, '-device', `virtio-net-pci,netdev=n0,mac=${mac}${rom}`],
      ...(loader === 'uefi-pxe' ? [] : withoutPxe(4)),
      ...withoutPxe(6),
    ],
  };
}

/** OVMF's network stack reads it: of PXE and HTTP Boot it then offers HTTP Boot alone. */
function withoutPxe(version: 4 | 6): string[] {
  return ['-fw_cfg', `name=opt/org.tianocore/IPv${version}PXESupport,string=no`];
}

/** graphics=off makes SeaBIOS and iPXE speak on the serial port. */
const biosMachine = ['-M', 'q35,graphics=off', '-m', '512'];

async function uefiMachine(variables: string): Promise<string[]> {
  await copyFile('/usr/share/OVMF/OVMF_VARS_4M.fd', variables);
  const code = '/usr/share/OVMF/OVMF_CODE_4M.fd';
  return [
    ...['-M', 'q35', '-m', '768'],
    ...['-drive', `if=pflash,format=raw,readonly=on,file=${code}`],
    ...['-drive', `if=pflash,format=raw,file=${variables}`],
  ];
}
