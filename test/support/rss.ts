import { readFile, writeFile } from 'node:fs/promises';

/** Sets a process's peak resident memory back to what it uses now (proc(5), `/proc/pid/clear_refs`, value 5). */
export async function resetPeakMemory(pid: number): Promise<void> {
  await writeFile(`/proc/${pid}/clear_refs`, '5');
}

/** The most resident memory the process had since its start or the last reset, in bytes (proc(5), `VmHWM`). */
export async function peakMemory(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1];
  if (kilobytes === undefined) throw new Error(`/proc/${pid}/status has no VmHWM: has process ${pid} ended?`);
  return Number(kilobytes) * 1024;
}
