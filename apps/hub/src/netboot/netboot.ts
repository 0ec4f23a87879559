import { createHash, randomBytes } from 'node:crypto';
import { dnsmasqConfig, type DnsmasqInput } from '@holdfast/boot/dnsmasq';
import { firstGrubConfig, nodeGrubConfig } from '@holdfast/boot/grub';
import { firstScript, nodeScript, statusScript } from '@holdfast/boot/ipxe';
import { bootFiles } from '@holdfast/boot/preview';
import { renderProblems } from '@holdfast/boot/workflow-problems';
import type { Catalog } from '@holdfast/catalog/catalog';
import type { Node } from '@holdfast/catalog/nodes';
import type { Workflow } from '@holdfast/catalog/workflows';
import { HoldfastError } from '@holdfast/contract/errors';
import { macInput } from '@holdfast/contract/mac';
import type { NodePreview } from '@holdfast/contract/nodes';
import type { Events } from '../events.ts';
import type { Library } from '../library/library.ts';
import type { Settings } from '../settings.ts';
import { previewFile } from './preview-file.ts';

/** What a machine says about itself when it asks for its script. */
export interface Sighting {
  mac: string;
  uuid?: string | undefined;
  serial?: string | undefined;
  vendor?: string | undefined;
  model?: string | undefined;
  arch?: string | undefined;
  /** Its address. */
  ip: string;
}

/** Stands in for the one-time token in previews. */
const TOKEN_PLACEHOLDER = 'one-time-token';

/** Nodes and workflows, and the scripts that machines boot by. */
export class Netboot {
  readonly #catalog: Catalog;
  readonly #settings: Settings;
  readonly #library: Library;
  readonly #events: Events;

  constructor(options: { catalog: Catalog; settings: Settings; library: Library; events: Events }) {
    this.#catalog = options.catalog;
    this.#settings = options.settings;
    this.#library = options.library;
    this.#events = options.events;
  }

  /** The first iPXE script. @param server `http://host:port` as the machine reaches the hub */
  firstScript(server: string): string {
    return firstScript({ server });
  }

  /** The machine's iPXE script. An unknown machine becomes a node; one that is to be installed gets its token. */
  async script(sighting: Sighting, server: string): Promise<string> {
    const { node, workflow, nodeToken } = await this.#boot(sighting);
    return nodeScript(node, workflow, { server, ip: sighting.ip, nodeToken });
  }

  /** What a waiting machine polls; changes nothing. */
  async statusScript(mac: string, server: string): Promise<string> {
    const node = (await this.#catalog.nodes.getByMac(mac)) ?? unknownNode(mac);
    return statusScript(node, await this.#workflowOf(node), { server });
  }

  /** The machine's GRUB configuration; without a machine, the one that asks again with the MAC address. */
  async grubConfig(
    sighting: Sighting | null,
    server: string,
    via: 'http' | 'tftp' = 'http',
  ): Promise<string> {
    if (sighting === null) return firstGrubConfig({ server, via });
    const { node, workflow, nodeToken } = await this.#boot(sighting);
    return nodeGrubConfig(node, workflow, { server, via, ip: sighting.ip, nodeToken });
  }

  /**
   * The script that boot loaders look for under a path of the boot backend, where that has no such file.
   * @returns null for a path that is no script's
   */
  async generated(
    path: string,
    { ip, server, via }: { ip: string; server: string; via: 'http' | 'tftp' },
  ): Promise<string | null> {
    if (path === '/autoexec.ipxe' || path === '/boot.ipxe') return firstScript({ server });
    const grub = /^\/(?:grub\/)?grub\.cfg(?:-(?:01-)?(.+))?$/.exec(path);
    if (grub === null) return null;
    if (grub[1] === undefined) return firstGrubConfig({ server, via });
    const mac = macInput.safeParse(grub[1]);
    return mac.success ? this.grubConfig({ mac: mac.data, ip }, server, via) : null;
  }

  /** A dnsmasq configuration that sends machines here. */
  dnsmasqConfig(input: DnsmasqInput): string {
    return dnsmasqConfig(input);
  }

  /** Marks the node installed. @throws HoldfastError `node_not_found`, `forbidden` for a wrong or used token */
  async reportInstalled(id: string, token: string): Promise<Node> {
    if ((await this.#catalog.nodes.get(id)) === null) throw nodeNotFound(id);
    const node = await this.#catalog.nodes.consumeToken(id, hashToken(token), new Date());
    if (node === null)
      throw new HoldfastError(
        'forbidden',
        'The token is not the one of the node’s last boot, or was used already.',
      );
    this.#events.publish({ type: 'node.installed', node_id: node.id, mac: node.mac });
    return node;
  }

  /** What the node would boot, and whether it would work; nothing is changed. */
  async preview(id: string, server: string): Promise<NodePreview> {
    const node = await this.#catalog.nodes.get(id);
    if (node === null) throw nodeNotFound(id);
    const workflow = await this.#workflowOf(node);
    const context = { server, ip: node.lastIp ?? undefined, nodeToken: TOKEN_PLACEHOLDER };
    const backendId = this.#settings.current.default_boot_backend_id;
    const problems = workflow === null ? [] : renderProblems(workflow, node, context);
    if (workflow === null && node.state === 'pending')
      problems.push('The node has no workflow: set workflow_id, and it boots that.');
    if (backendId === null) problems.push('No boot backend is set: set default_boot_backend_id.');
    const wanted = workflow === null ? [] : bootFiles(workflow);
    const files = await Promise.all(wanted.map((file) => previewFile(this.#library, backendId, file)));
    return {
      ipxe: nodeScript(node, workflow, context),
      grub: nodeGrubConfig(node, workflow, context),
      files,
      problems,
    };
  }

  /** How many workflows take files from the backend. */
  async workflowsOn(backendId: string): Promise<number> {
    if (this.#settings.current.default_boot_backend_id !== backendId) return 0;
    const workflows = await this.#catalog.workflows.list();
    return workflows.filter((workflow) => bootFiles(workflow).length > 0).length;
  }

  async #boot(
    sighting: Sighting,
  ): Promise<{ node: Node; workflow: Workflow | null; nodeToken: string | undefined }> {
    const { node, created } = await this.#catalog.nodes.seen({
      mac: sighting.mac,
      uuid: sighting.uuid ?? null,
      serial: sighting.serial ?? null,
      vendor: sighting.vendor ?? null,
      model: sighting.model ?? null,
      arch: sighting.arch ?? null,
      ip: sighting.ip,
      at: new Date(),
    });
    this.#events.publish({ type: 'node.seen', node_id: node.id, mac: node.mac, ip: sighting.ip, created });
    const workflow = await this.#workflowOf(node);
    if (workflow === null || (node.state !== 'pending' && node.state !== 'installing')) {
      return { node, workflow, nodeToken: undefined };
    }
    const nodeToken = randomBytes(24).toString('hex');
    await this.#catalog.nodes.update(node.id, { state: 'installing', tokenHash: hashToken(nodeToken) });
    this.#events.publish({
      type: 'node.booted',
      node_id: node.id,
      mac: node.mac,
      state: 'installing',
      workflow_id: workflow.id,
    });
    return { node, workflow, nodeToken };
  }

  async #workflowOf(node: Pick<Node, 'workflowId'>): Promise<Workflow | null> {
    return node.workflowId === null ? null : this.#catalog.workflows.get(node.workflowId);
  }
}

function unknownNode(mac: string): Pick<Node, 'id' | 'mac' | 'name' | 'state' | 'workflowId'> {
  return { id: '', mac, name: null, state: 'discovered', workflowId: null };
}

function hashToken(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

function nodeNotFound(id: string): HoldfastError {
  return new HoldfastError('node_not_found', `There is no node with the id ${id}.`);
}
