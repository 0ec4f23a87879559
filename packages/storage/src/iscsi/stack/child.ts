import { HoldfastError } from '@holdfast/contract/errors';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { toolEnvironment, toolMissing } from './tool.ts';
import type { ToolName } from './tool.ts';

const keptCharacters = 4096;

/** A program that runs as long as this process does. */
export interface Child {
  readonly process: ChildProcess;
  /** Settles with how it ended. Never rejects. */
  readonly exited: Promise<string>;
  /** The last of what it wrote to standard error. */
  said(): string;
}

/**
 * Starts a program that the kernel ends when this process does (prctl(2), PR_SET_PDEATHSIG), however that ends.
 * Descriptor 3 of the program is a channel to this process.
 */
export async function startChild(
  tool: ToolName | 'node',
  args: readonly string[],
  options: { cwd: string },
): Promise<Child> {
  const program = tool === 'node' ? process.execPath : tool;
  // A service manager signals every process of a service at once; who holds the LUN goes down in its own order.
  const prefix = ['--ignore-signal=HUP,INT,TERM', 'setpriv', '--pdeathsig', 'KILL'];
  const child = spawn('env', [...prefix, program, ...args], {
    cwd: options.cwd,
    env: toolEnvironment(),
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
  });
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-keptCharacters);
  });
  try {
    await once(child, 'spawn');
  } catch (error) {
    throw toolMissing('env', error);
  }
  const exited = new Promise<string>((resolve) => {
    child.once('exit', (code, signal) => {
      // env and setpriv say 127 for a program that is not there.
      resolve(
        code === 127 && tool !== 'node'
          ? toolMissing(tool).message
          : `it ended with ${signal ?? `status ${code}`}`,
      );
    });
  });
  return { process: child, exited, said: () => said.trim() };
}

/** The error for a program that ended before its time. */
export function endedEarly(what: string, how: string, said: string): HoldfastError {
  const text = `${what} could not be started: ${how}${said === '' ? '' : `: ${said}`}`;
  return new HoldfastError('backend_unavailable', text.endsWith('.') ? text : `${text}.`);
}
