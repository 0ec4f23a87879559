import type { BootContext, BootNode, BootWorkflow } from './boot-input.ts';
import { bootFilePath, grubConfigPath } from './boot-url.ts';
import { grubLocation } from './grub-location.ts';
import type { GrubLocation } from './grub-location.ts';
import { cmdlineWords, grubQuote, grubText } from './grub-text.ts';
import { parseServer } from './server-address.ts';
import { expandVariables } from './variables.ts';
import { renderProblems } from './workflow-problems.ts';

/**
 * The first configuration (`grub/grub.cfg`), for any machine: fetches the machine's own by its MAC address, and
 * does so again for as long as there is nothing to boot.
 *
 * @throws HoldfastError `invalid_request` for a server that is not `http(s)://host[:port]`.
 */
export function firstGrubConfig({ server, via }: Pick<BootContext, 'server' | 'via'>): string {
  const { url } = parseServer(server);
  const title = '# Holdfast: asks the hub what this machine boots';
  if (via === 'tftp') return grubConfig(title, ...ownMac, ...askForever(`"${tftpConfig('$holdfast_mac')}"`));
  const location = grubLocation(`${url}/api/v1/boot/grub?mac=`);
  if ('problem' in location) return grubConfig(...stop(location.problem));
  return grubConfig(
    title,
    // Double quotes: the variable is filled in, and ? is no wildcard.
    ...ownMac,
    ...askForever(`"${location.file}$holdfast_mac"`),
  );
}

/** GRUB sets `net_default_mac` when firmware loaded it over the network, and the other one by its own `net_bootp`. */
const ownMac = [
  'set holdfast_mac="$net_default_mac"',
  'if [ "$holdfast_mac" = "" ]; then',
  '  set holdfast_mac="$net_efinet0_dhcp_mac"',
  'fi',
];

/**
 * The GRUB configuration of a node, by the same rules as its iPXE script.
 *
 * @throws HoldfastError `invalid_request` for a server that is not `http(s)://host[:port]`.
 */
export function nodeGrubConfig(node: BootNode, workflow: BootWorkflow | null, context: BootContext): string {
  parseServer(context.server);
  const title = `# Holdfast: node ${grubText(node.name ?? node.mac)}, ${node.state}`;
  if (node.state !== 'pending' && node.state !== 'installing') return grubConfig(title, ...localDisk());
  const problems =
    workflow === null
      ? ['No workflow is chosen for this node yet.']
      : renderProblems(workflow, node, context);
  if (workflow === null || problems.length > 0)
    return grubConfig(title, ...askAgain(node, context, problems));
  const steps = methodSteps(node, workflow, context);
  if ('problem' in steps) return grubConfig(title, ...stop(steps.problem));
  return grubConfig(title, ...steps.lines, ...askAgain(node, context, [`${workflow.name} did not boot.`]));
}

type Steps = { lines: string[] } | { problem: string };

function methodSteps(node: BootNode, workflow: BootWorkflow, context: BootContext): Steps {
  if (workflow.installMethod === 'kernel') return kernelSteps(node, workflow, context);
  if (workflow.installMethod === 'chain') return chainSteps(node, workflow, context);
  return { problem: 'GRUB has no sanboot. Boot this node with iPXE.' };
}

function kernelSteps(node: BootNode, workflow: BootWorkflow, context: BootContext): Steps {
  const { name, kernelPath, initrdPath, cmdline } = workflow;
  const kernel = fileLocation(context, kernelPath ?? '');
  if ('problem' in kernel) return kernel;
  const initrd = initrdPath === null ? null : fileLocation(context, initrdPath);
  if (initrd !== null && 'problem' in initrd) return initrd;
  const words = cmdlineWords(expandVariables(cmdline ?? '', node, context));
  const linux = ['linux', ...[kernel.file, ...words].map(grubQuote)].join(' ');
  const start =
    initrd === null
      ? ['    boot']
      : [`    if initrd ${grubQuote(initrd.file)}; then`, '      boot', '    fi'];
  return {
    lines: [
      'for attempt in 1 2 3 4 5; do',
      `  echo ${grubQuote(`Holdfast: kernel ${grubText(name)}`)}`,
      `  if ${linux}; then`,
      ...start,
      '  fi',
      `  echo ${grubQuote(`Holdfast: ${grubText(name)} did not boot, next attempt in 5 s`)}`,
      '  sleep 5',
      'done',
    ],
  };
}

function chainSteps(node: BootNode, workflow: BootWorkflow, context: BootContext): Steps {
  const target = expandVariables(workflow.bootUrl ?? '', node, context);
  const location = target.startsWith('/') ? fileLocation(context, target) : grubLocation(target);
  if ('problem' in location) return location;
  return {
    lines: [
      'if [ "$grub_platform" != "efi" ]; then',
      ...stop('GRUB on BIOS cannot chain a network boot program. Boot this node with iPXE.').map(
        (line) => `  ${line}`,
      ),
      'fi',
      `echo ${grubQuote(`Holdfast: chain ${grubText(workflow.name)}`)}`,
      `if chainloader ${grubQuote(location.file)}; then`,
      '  boot',
      'fi',
    ],
  };
}

/** A file of the boot backend as GRUB reads it. Over TFTP its path is taken as it is: nothing decodes it there. */
function fileLocation({ server, via }: BootContext, path: string): GrubLocation {
  return via === 'tftp' ? { file: `(tftp)${path}` } : grubLocation(server + bootFilePath(path));
}

/** The configuration of a machine over TFTP; `(tftp)` is the server that GRUB itself came from. */
function tftpConfig(mac: string): string {
  return `(tftp)/grub/grub.cfg-01-${mac}`;
}

function localDisk(): string[] {
  return [
    `echo ${grubQuote('Holdfast: booting the local disk')}`,
    'if [ "$grub_platform" = "efi" ]; then',
    // GRUBs that take a status tell UEFI to go on with its boot order by it; the others ignore it.
    '  exit 1',
    'fi',
    "set root='hd0'",
    'if chainloader +1; then',
    '  boot',
    'fi',
    `echo ${grubQuote('Holdfast: the first disk does not boot, going back to the firmware')}`,
    'exit 1',
  ];
}

function askAgain(node: BootNode, context: BootContext, reasons: readonly string[]): string[] {
  const location =
    context.via === 'tftp'
      ? { file: tftpConfig(node.mac) }
      : grubLocation(context.server + grubConfigPath(node.mac));
  if ('problem' in location) return stop(location.problem);
  return [
    ...reasons.map((reason) => `echo ${grubQuote(`Holdfast: ${grubText(reason)}`)}`),
    `echo ${grubQuote(`Holdfast: node ${grubText(node.id)} (${node.mac}) asks again in 10 s`)}`,
    'sleep 10',
    'if [ "$holdfast_asking" != "yes" ]; then',
    ...askForever(grubQuote(location.file)).map((line) => `  ${line}`),
    'fi',
  ];
}

/**
 * The one loop that asks the hub. A configuration that is fetched inside it ends when there is nothing to boot
 * yet, and does not open a loop of its own: each would nest deeper on GRUB's small stack.
 */
function askForever(location: string): string[] {
  return [
    'set holdfast_asking=yes',
    'export holdfast_asking',
    'while true; do',
    `  source ${location}`,
    `  echo ${grubQuote('Holdfast: asking the hub again in 5 s')}`,
    '  sleep 5',
    'done',
  ];
}

function stop(problem: string): string[] {
  return [`echo ${grubQuote(`Holdfast: ${grubText(problem)}`)}`, 'sleep 30', 'exit 1'];
}

function grubConfig(...lines: readonly string[]): string {
  return `${lines.join('\n')}\n`;
}
