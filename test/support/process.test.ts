import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { runProcess, startProcess } from './process.ts';

describe('a child process', () => {
  it('is waited for by its output, in either stream', async () => {
    await using child = await startProcess('sh', ['-c', 'echo starting; echo "port 4711" >&2; cat']);
    const match = await child.waitForOutput(/^port (\d+)$/m, { timeoutMs: 10_000, stream: 'stderr' });
    expect(match[1]).toBe('4711');
    expect(await child.waitForOutput(/^starting$/m, { timeoutMs: 10_000 })).toBeTruthy();
    expect(await child.exited).toEqual({ code: 0, signal: null });
  });

  it('reads its input to the end', async () => {
    const result = await runProcess('sha256sum', [], { input: 'abc' });
    expect(result.stdout).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  -\n');
  });

  it('that ends without the awaited line fails the wait at once, with the tail of its output', async () => {
    await using child = await startProcess('sh', ['-c', 'echo "bind: in use" >&2; exit 3']);
    const waiting = child.waitForOutput(/ready/, { timeoutMs: 60_000 });
    await expect(waiting).rejects.toThrow(/status 3 before printing \/ready\/[^]*bind: in use/);
  });

  it('that never prints the awaited line fails the wait when the time is over', async () => {
    await using child = await startProcess('sleep', ['60']);
    await expect(child.waitForOutput(/ready/, { timeoutMs: 20 })).rejects.toThrow(/within 20 ms/);
  });

  it('takes what it started along when it is disposed of', async () => {
    const child = await startProcess('sh', ['-c', 'sleep 60 & echo "child $!"; wait']);
    const [, grandchild] = await child.waitForOutput(/child (\d+)$/m, { timeoutMs: 10_000 });
    await child[Symbol.asyncDispose]();
    expect(await child.exited).toEqual({ code: null, signal: 'SIGKILL' });
    expect(await isRunning(Number(grandchild))).toBe(false);
  });

  it('is killed by the kernel when the test process dies', async () => {
    const module = path.join(import.meta.dirname, 'process.ts');
    const script = `
      const { startProcess } = await import(${JSON.stringify(module)});
      const child = await startProcess('sleep', ['60']);
      console.log('child ' + child.pid);`;
    await using parent = await startProcess(process.execPath, ['--input-type=module', '-e', script]);
    const [, pid] = await parent.waitForOutput(/child (\d+)$/m, { timeoutMs: 30_000 });
    parent.kill('SIGKILL');
    // The output pipe of `sleep` goes to the killed parent; `exited` of that one says only that the parent is gone.
    await parent.exited;
    await expect.poll(() => isRunning(Number(pid)), { timeout: 10_000 }).toBe(false);
  });

  it('that fails makes runProcess throw with its command line and output', async () => {
    await expect(runProcess('ls', ['/nowhere'])).rejects.toThrow(
      /`ls \/nowhere` ended with status 2[^]*No such file/,
    );
  });

  it('that takes too long is killed by runProcess', async () => {
    await expect(runProcess('sleep', ['60'], { timeoutMs: 20 })).rejects.toThrow(/was killed after 20 ms/);
  });
});

/** False for a pid that is gone or a zombie that nobody has reaped yet. */
async function isRunning(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null);
  return stat !== null && !/^\d+ \(.*\) [ZX] /.test(stat);
}
