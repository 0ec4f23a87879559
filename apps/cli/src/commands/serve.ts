import { isSea } from 'node:sea';
import nodeFlags from '@holdfast/hub/node-flags.json' with { type: 'json' };
import type { CommandContext } from '../context.ts';

/** Runs a hub in this process until it is stopped by a signal. */
export async function run({ args, hold }: CommandContext): Promise<void> {
  startAnew();
  process.argv.splice(2, process.argv.length, ...args);
  const { runHubCommand } = await import('@holdfast/hub/hub-command');
  hold();
  await runHubCommand();
}

/**
 * Becomes a process with the flags that a hub has, which Node takes only at its start; other commands would gain nothing
 * by them. A single executable has them built in.
 */
function startAnew(): void {
  const missing = nodeFlags.filter((flag) => !process.execArgv.includes(flag));
  if (missing.length === 0 || isSea() || process.execve === undefined) return;
  const { execPath, execArgv, argv } = process;
  process.execve(execPath, [execPath, ...execArgv, ...missing, ...argv.slice(1)], process.env);
}
