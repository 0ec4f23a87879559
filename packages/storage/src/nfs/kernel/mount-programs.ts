import { spawn } from 'node:child_process';
import { toolEnvironment } from '../../iscsi/stack/tool.ts';

const keptCharacters = 4096;

/** A program that failed: `stderr` has what it said. */
class MountProgramFailed extends Error {
  override readonly name = 'MountProgramFailed';
  readonly stderr: string;

  constructor(message: string, stderr: string) {
    super(message);
    this.stderr = stderr;
  }
}

/**
 * Runs mount(8) or umount(8) to its end.
 * @throws Error with the program's words in `stderr`; also when it takes longer than `timeLimitMs`, and is killed
 */
export function runMountProgram(
  program: 'mount' | 'umount',
  args: readonly string[],
  timeLimitMs: number,
): Promise<void> {
  return new Promise((resolve, reject) => {
    // A group of its own: what waits for a dead server is not mount(8) but the mount.nfs that it has started.
    const child = spawn(program, args, {
      env: toolEnvironment(),
      stdio: ['ignore', 'ignore', 'pipe'],
      detached: true,
    });
    let said = '';
    const timer = setTimeout(() => {
      endGroup(child.pid);
      // Its end may take the kernel longer, and nobody waits for that.
      child.stderr.destroy();
      child.unref();
      reject(new MountProgramFailed(`${program} did not end in time`, 'it did not answer in time'));
    }, timeLimitMs);
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-keptCharacters);
    });
    child.once('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      if (code === 0) resolve();
      else reject(new MountProgramFailed(`${program} ended with ${signal ?? `status ${code}`}`, said.trim()));
    });
  });
}

function endGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended at this very moment.
  }
}
