import { completionScripts } from '../completion/scripts.ts';
import type { CommandContext } from '../context.ts';
import { UsageError } from '../exit-codes.ts';

/** Prints the script that completes the command in a shell. */
export function run({ args, output }: CommandContext): Promise<void> {
  const [shell] = args;
  if (shell !== 'bash' && shell !== 'zsh' && shell !== 'fish') {
    return Promise.reject(new UsageError('Name the shell: bash, zsh or fish.'));
  }
  const script = completionScripts[shell];
  output.result('completion', { shell, script }, () => output.line(script.trimEnd()));
  return Promise.resolve();
}
