import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { type Node, node } from '@holdfast/contract/nodes';
import { workflow } from '@holdfast/contract/workflows';
import type { BootNetwork } from './boot-network.ts';
import { type HubUnderTest, startHub } from './hub.ts';
import { bootBackendId, json, uploadStream } from './hub-storage.ts';
import { writeInitrd } from './initrd.ts';
import { debianKernel } from './kernel.ts';
import { makeTempDir } from './temp-dir.ts';

const kernelPath = '/debian/vmlinuz';
const initrdPath = '/debian/initrd.img';

/** Starts a hub inside a boot network, with TFTP on port 69, where firmware asks. */
export async function startHubIn(
  { address, prefix }: BootNetwork,
  env: Record<string, string> = {},
): Promise<HubUnderTest> {
  const listen = { HOLDFAST_HOST: address, HOLDFAST_TFTP_HOST: address, HOLDFAST_TFTP_PORT: '69' };
  return await startHub({ prefix, env: { ...listen, ...env } });
}

/** The hub's dnsmasq configuration for a boot network; `range` as in its API, or the network's own addresses. */
export async function renderedDnsmasq(
  hub: HubUnderTest,
  network: BootNetwork,
  range = network.range,
): Promise<string> {
  const query = new URLSearchParams({ interface: network.interface, range });
  const answer = await hub.api(`/api/v1/boot/dnsmasq.conf?${query.toString()}`);
  const config = await answer.text();
  if (!answer.ok) throw new Error(`The hub rendered no dnsmasq configuration: ${answer.status} ${config}`);
  return config;
}

/** Uploads a file of this machine to the hub's boot backend. Throws unless it is stored. */
export async function storeBootFile(hub: HubUnderTest, path: string, file: string): Promise<void> {
  const id = await bootBackendId(hub);
  const { size } = await stat(file);
  const answer = await uploadStream(hub, id, path, createReadStream(file), size);
  if (answer.status !== 201 && answer.status !== 200)
    throw new Error(`${path} was not stored: ${answer.status} ${answer.body}`);
}

/** Puts Debian's kernel and the test's initrd on the boot backend. */
export async function storeKernel(hub: HubUnderTest): Promise<void> {
  await using work = await makeTempDir('kernel-files');
  const kernel = await debianKernel();
  await writeInitrd(kernel, work.join('initrd.img'));
  await storeBootFile(hub, kernelPath, kernel.vmlinuz);
  await storeBootFile(hub, initrdPath, work.join('initrd.img'));
}

export interface MachineOptions {
  mac: string;
  firmware: 'bios' | 'uefi';
  /** What it boots. Default: the kernel and initrd of `storeKernel`, which report the installation by the token. */
  workflow?: { install_method: 'sanboot' | 'chain'; boot_url: string };
}

/** Registers a machine that has something to boot, with a workflow of its own. Resolves to the pending node. */
export async function addMachine(hub: HubUnderTest, options: MachineOptions): Promise<Node> {
  const { mac, firmware } = options;
  const boots = options.workflow ?? {
    install_method: 'kernel',
    kernel_path: kernelPath,
    initrd_path: initrdPath,
    cmdline: 'console=ttyS0 holdfast.server=${server} holdfast.node=${node_id} holdfast.token=${node_token}',
  };
  const created = await hub.data(
    workflow,
    '/api/v1/workflows',
    json('POST', { name: `Debian for ${mac}`, architecture: 'x86_64', boot_mode: firmware, ...boots }),
  );
  const machine = { mac, name: `machine ${mac}`, state: 'pending', workflow_id: created.id };
  return await hub.data(node, '/api/v1/nodes', json('POST', machine));
}

/** The state of a node as the hub has it now. */
export async function nodeState(hub: HubUnderTest, id: string): Promise<Node['state']> {
  return (await hub.data(node, `/api/v1/nodes/${id}`)).state;
}

/** A counter of the hub's metrics; 0 when it has not counted yet. `labels` as Prometheus prints them. */
export async function counterOf(hub: HubUnderTest, name: string, labels: string): Promise<number> {
  const text = await (await hub.api('/metrics')).text();
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${name}{${labels}} `));
  return line === undefined ? 0 : Number(line.split(' ').at(-1));
}
