import { copyFile } from 'node:fs/promises';
import { startProcess } from './process.ts';
import { makeTempDir } from './temp-dir.ts';

export interface BootOptions {
  firmware: 'bios' | 'uefi';
  /** URL that DHCP hands to the network card's iPXE. The machine sees this host's loopback as 10.0.2.2. */
  bootfile: string;
  /** Text that the serial console must show. */
  marker: string;
  /** Milliseconds from power on to power off; the machine is killed after that. */
  timeoutMs: number;
  /** Default: QEMU's own 52:54:00:12:34:56. */
  mac?: string;
}

/**
 * Boots a machine from the network with the iPXE in the option ROM of its network card, and waits until it has
 * shown the marker and switched itself off. Emulated (TCG), so it runs without KVM and without root.
 * Resolves to the serial console's text. Throws, with the console's tail, when the marker is missing or time is over.
 */
export async function bootVm(options: BootOptions): Promise<string> {
  const { firmware, bootfile, marker, timeoutMs, mac = '52:54:00:12:34:56' } = options;
  await using work = await makeTempDir('vm');
  const machine = firmware === 'bios' ? biosMachine : await uefiMachine(work.join('vars.fd'));
  await using vm = await startProcess('qemu-system-x86_64', [
    ...['-accel', 'tcg', '-cpu', 'max', ...machine],
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
    ...['-netdev', `user,id=n0,bootfile=${bootfile}`, '-device', `virtio-net-pci,netdev=n0,mac=${mac}`],
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
