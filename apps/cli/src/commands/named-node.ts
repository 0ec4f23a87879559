import type { HubClient } from '@holdfast/client/client';
import { HoldfastError } from '@holdfast/contract/errors';
import { normaliseMac } from '@holdfast/contract/mac';
import type { Node } from '@holdfast/contract/nodes';
import type { Workflow } from '@holdfast/contract/workflows';

/**
 * A node by its MAC address in any form, its identifier, or its name.
 * @throws HoldfastError `node_not_found`; `conflict` when several have the name
 */
export async function nodeNamed(client: HubClient, name: string, signal: AbortSignal): Promise<Node> {
  const mac = normaliseMac(name);
  const named: Node[] = [];
  for await (const node of client.all('listNodes', { query: { limit: 1000 }, signal })) {
    if (node.id === name || node.mac === mac) return node;
    if (node.name === name) named.push(node);
  }
  const [node, other] = named;
  if (node === undefined) {
    throw new HoldfastError('node_not_found', `There is no node "${name}". "holdfast nodes" lists them.`);
  }
  if (other !== undefined) {
    const macs = named.map((one) => one.mac).join(', ');
    throw new HoldfastError(
      'conflict',
      `Several nodes are called "${name}". Name one by its MAC address: ${macs}.`,
    );
  }
  return node;
}

/** A workflow by its name, then by its identifier. @throws HoldfastError `workflow_not_found` */
export async function workflowNamed(client: HubClient, name: string, signal: AbortSignal): Promise<Workflow> {
  const { data } = await client.call('listWorkflows', { signal });
  const found = data.find((one) => one.name === name) ?? data.find((one) => one.id === name);
  if (found !== undefined) return found;
  const names = data.map((one) => one.name).join(', ');
  throw new HoldfastError(
    'workflow_not_found',
    `There is no workflow "${name}". There are: ${names || 'none'}.`,
  );
}
