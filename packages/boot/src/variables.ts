import { bootVariables } from '@holdfast/contract/boot-variables';
import type { BootVariable } from '@holdfast/contract/boot-variables';
import type { BootContext, BootNode } from './boot-input.ts';

/**
 * Fills the variables of a command line or boot URL in. What is not known of the machine becomes empty; text that
 * is no variable stays, and is refused by `workflowProblems`.
 */
export function expandVariables(text: string, node: BootNode, context: BootContext): string {
  const values: Record<BootVariable, string> = {
    server: context.server,
    node_id: node.id,
    mac: node.mac,
    ip: context.ip ?? '',
    node_token: context.nodeToken ?? '',
  };
  // One pass, so that a value is never expanded again.
  const names = new RegExp(`\\$\\{(${bootVariables.join('|')})\\}`, 'g');
  return text.replace(names, (_whole, name: BootVariable) => plainValue(values[name]));
}

/** Only characters that mean nothing to iPXE, GRUB or a kernel command line. */
function plainValue(value: string): string {
  return value.replace(/[^A-Za-z0-9._~:/[\]@%+=-]/g, '');
}
