import { readdir, readFile } from 'node:fs/promises';
import type { Ext4Volume } from './ext4-volume.ts';
import { runProcess } from './process.ts';

/**
 * Cuts the power of a volume while a process writes to it: the process is stopped where it stands, what the disk has at that moment
 * is kept, and all that was only in memory is lost. The process is killed then, by `kill`, and the disk mounted as it was, so
 * that the file system replays its journal.
 * @param options.kill resolves when the process has ended
 */
export async function cutPower(
  volume: Ext4Volume,
  options: { pid: number; kill: () => Promise<unknown> },
): Promise<void> {
  const { root } = volume;
  process.kill(options.pid, 'SIGSTOP');
  await stopped(options.pid);
  const device = await inside(volume, 'findmnt', '--noheadings', '--output', 'SOURCE', root);
  const image = await inside(volume, 'losetup', '--noheadings', '--output', 'BACK-FILE', device);
  const copy = `${image}.cut`;
  await runProcess('cp', ['--sparse=always', image, copy]);
  await options.kill();
  await inside(volume, 'umount', root);
  await runProcess('mv', [copy, image]);
  await inside(volume, 'mount', '-o', 'loop', image, root);
  await commitOnlyWhenAsked(volume);
}

/** Without this the journal is written every five seconds, and hides a program that does not ask for it. */
export async function commitOnlyWhenAsked(volume: Ext4Volume): Promise<void> {
  await inside(volume, 'mount', '-o', 'remount,commit=900', volume.root);
}

/** Runs a command with the volume mounted; resolves to what it printed. */
async function inside(volume: Ext4Volume, command: string, ...args: string[]): Promise<string> {
  const { stdout } = await runProcess(volume.prefix[0], [...volume.prefix.slice(1), command, ...args]);
  return stdout.trim();
}

/** A thread in the middle of a system call stops when that has ended (proc_pid_stat(5), state T). */
async function stopped(pid: number): Promise<void> {
  for (;;) {
    const threads = await readdir(`/proc/${pid}/task`);
    const states = await Promise.all(
      threads.map(async (thread) => {
        const stat = await readFile(`/proc/${pid}/task/${thread}/stat`, 'utf8');
        return stat.slice(stat.lastIndexOf(')') + 2).at(0);
      }),
    );
    if (states.every((state) => state === 'T')) return;
  }
}
