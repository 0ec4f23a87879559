import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { guestCommand, guestEndedMarker, guestInit, guestProject, guestSystem } from './guest-system.ts';
import { packInitrd } from './initrd.ts';
import { debianKernel } from './kernel.ts';
import { runProcess, startProcess } from './process.ts';
import { makeTempDir } from './temp-dir.ts';

const project = path.resolve(import.meta.dirname, '../..');
/** What of the project tests need in a guest. */
const projectEntries = ['node_modules', 'package.json', 'packages', 'scripts', 'test', 'vitest.config.ts'];
/** The image is sparse. */
const imageBytes = 4 * 1024 ** 3;
/** Lines of each console that an error shows. */
const shownLines = 250;

const initrdScript = `#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
exec </dev/console >/dev/console 2>&1
for module in /modules/*.ko; do /bin/busybox insmod "$module"; done
/bin/busybox mount -t ext4 /dev/vda /mnt
/bin/busybox mount -o move /dev /mnt/dev
exec /bin/busybox switch_root /mnt ${guestInit}
`;

export interface GuestOptions {
  /** Lines of shell to be run in the project's folder, as root. */
  command: string;
  /** Milliseconds from power on to power off; the machine is killed after that. */
  timeoutMs: number;
}

/**
 * Runs a command in a virtual machine with a kernel of its own and the project as it is now. This machine's loopback
 * is 10.0.2.2 there. Emulated (TCG), so it runs without KVM, about ten times slower than here.
 * Resolves to what was printed on its console; throws, with the tail of that and of the kernel's messages, unless the
 * command has ended with status 0 in time.
 */
export async function runInGuest({ command, timeoutMs }: GuestOptions): Promise<string> {
  await using work = await makeTempDir('guest');
  const [image, initrd, messages] = [work.join('image'), work.join('initrd'), work.join('messages')];
  const kernel = await debianKernel();
  await writeImage(await guestSystem(kernel), `cd ${guestProject}\n${command}\n`, image);
  const scripts = { init: initrdScript };
  await packInitrd(kernel, { modules: ['virtio_pci', 'virtio_blk'], scripts }, initrd);
  await using vm = await startProcess('qemu-system-x86_64', [
    // One processor in one thread: where several are emulated side by side, V8 ends now and then over code that it has just
    // compiled ("Check failed: it->second.Size() > offset").
    ...['-accel', 'tcg,thread=single', '-cpu', 'max', '-smp', '1', '-m', '2048', '-M', 'q35,graphics=off'],
    ...['-kernel', kernel.vmlinuz, '-initrd', initrd],
    // The guest is trusted: without the mitigations of its kernel it is a fifth faster.
    ...['-append', 'console=ttyS0 loglevel=5 panic=-1 mitigations=off'],
    ...['-drive', `if=virtio,format=raw,cache=unsafe,file=${image}`],
    ...['-netdev', 'user,id=n0', '-device', 'virtio-net-pci,netdev=n0,romfile='],
    ...['-device', 'virtio-serial-pci', '-chardev', 'stdio,id=out', '-device', 'virtconsole,chardev=out'],
    ...['-serial', `file:${messages}`, '-display', 'none', '-nodefaults', '-no-reboot', '-monitor', 'none'],
  ]);
  const timeUp = AbortSignal.timeout(timeoutMs);
  timeUp.addEventListener('abort', () => vm.kill('SIGKILL'));
  const { code } = await vm.exited;
  const console = vm.stdout();
  const kernelSaid = await readFile(messages, 'latin1').catch(() => '');
  const shown = [
    `--- console ---\n${tailOf(console)}`,
    `--- kernel ---\n${tailOf(kernelSaid.replaceAll('\r', ''))}`,
    `--- qemu ---\n${vm.stderr()}`,
  ].join('\n');
  if (timeUp.aborted) throw new Error(`The guest was still on after ${timeoutMs} ms.\n${shown}`);
  if (code !== 0) throw new Error(`QEMU ended with status ${code}.\n${shown}`);
  if (!console.includes(`${guestEndedMarker} 0\n`))
    throw new Error(`The command in the guest failed.\n${shown}`);
  return console;
}

function tailOf(text: string): string {
  return text.trimEnd().split('\n').slice(-shownLines).join('\n');
}

/** Puts the image together by mounts, without a copy, in a mount namespace that is gone with the shell. */
const imageScript = `set -e
system=$1 root=$2 image=$3 project=$4 command=$5; shift 5
mount -t tmpfs tmpfs "$root"
for entry in "$system"/*; do
  place=$root/\${entry##*/}
  if [ -d "$entry" ] && [ ! -L "$entry" ]; then mkdir "$place"; mount --bind "$entry" "$place"; else cp -a "$entry" "$place"; fi
done
cp "$command" "$root${guestCommand}"
mount -t tmpfs tmpfs "$root${guestProject}"
for entry; do
  place=$root${guestProject}/$entry
  if [ -d "$project/$entry" ]; then mkdir "$place"; mount --bind "$project/$entry" "$place"; else cp "$project/$entry" "$place"; fi
done
mke2fs -q -F -t ext4 -O ^has_journal -d "$root" "$image" ${imageBytes / 1024}k
`;

/** An ext4 image of the system, with the project and the command in it. */
async function writeImage(system: string, command: string, image: string): Promise<void> {
  await using work = await makeTempDir('guest-root');
  const [root, script] = [work.join('root'), work.join('command')];
  await mkdir(root);
  await writeFile(script, command);
  const apart = ['--mount', '--propagation', 'private'];
  const values = [system, root, image, project, script, ...projectEntries];
  await runProcess('unshare', [...apart, 'sh', '-c', imageScript, 'sh', ...values], { timeoutMs: 120_000 });
}
