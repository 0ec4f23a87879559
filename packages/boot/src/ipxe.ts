import type { BootContext, BootNode, BootWorkflow } from './boot-input.ts';
import { bootFilePath, bootScriptPath, bootStatusPath } from './boot-url.ts';
import { ipxeScript, ipxeText } from './ipxe-text.ts';
import { parseServer } from './server-address.ts';
import { expandVariables } from './variables.ts';
import { renderProblems } from './workflow-problems.ts';

/*
 * The scripts keep to the commands of Debian's 2019 build of iPXE. A command that a build may lack, and every
 * condition that may be false, ends in `||`, since iPXE leaves a script at the first command that fails.
 */

/**
 * The first script (`boot.ipxe`): gets an address when there is none, then asks the hub for the machine's own
 * script until it answers, after 2 s at first, 15 s from the 5th attempt and 60 s from the 20th.
 *
 * @throws HoldfastError `invalid_request` for a server that is not `http(s)://host[:port]`.
 */
export function firstScript({ server }: Pick<BootContext, 'server'>): string {
  const { url } = parseServer(server);
  const query =
    'mac=${mac:hexhyp}&uuid=${uuid}&serial=${serial:uristring}&vendor=${manufacturer:uristring}' +
    '&model=${product:uristring}&arch=${holdfast-arch}';
  return ipxeScript(
    'isset ${ip} || dhcp || echo Holdfast: no answer to DHCP, trying all the same',
    // A BIOS build is i386 on every machine; bit 29 of CPUID 80000001h EDX tells 64-bit processors.
    'set holdfast-arch ${buildarch} ||',
    'iseq ${holdfast-arch} i386 && cpuid --ext 29 && set holdfast-arch x86_64 ||',
    'set holdfast-tries:int32 0',
    'set holdfast-delay:int32 2',
    ':ask',
    `chain --autofree --replace ${url}/api/v1/boot?${query} ||`,
    'inc holdfast-tries ||',
    'iseq ${holdfast-tries} 5 && set holdfast-delay:int32 15 ||',
    'iseq ${holdfast-tries} 20 && set holdfast-delay:int32 60 ||',
    `echo Holdfast: no boot script from ${url} after \${holdfast-tries} attempts, next in \${holdfast-delay} s`,
    'echo Holdfast: check the network, the hub, and its anonymous_boot_networks setting',
    'isset ${ip} || dhcp ||',
    'sleep ${holdfast-delay} ||',
    'goto ask',
  );
}

/**
 * The iPXE script of a node: `pending` and `installing` run the workflow, or wait for one; all other states boot
 * the machine's own disk.
 *
 * @throws HoldfastError `invalid_request` for a server that is not `http(s)://host[:port]`.
 */
export function nodeScript(node: BootNode, workflow: BootWorkflow | null, context: BootContext): string {
  const { url } = parseServer(context.server);
  const title = `# Holdfast: node ${ipxeText(node.name ?? node.mac)}, ${node.state}`;
  if (node.state !== 'pending' && node.state !== 'installing') return ipxeScript(title, ...localDisk());
  if (workflow === null) {
    return ipxeScript(title, ...waiting(node, url, ['No workflow is chosen for this node yet.']));
  }
  const problems = renderProblems(workflow, node, context);
  if (problems.length > 0) return ipxeScript(title, ...waiting(node, url, problems));
  return ipxeScript(title, ...workflowLines(node, workflow, context, url));
}

/**
 * What a waiting machine polls: the script ends at once while it has to wait on, and fetches the machine's own
 * script once there is something to boot. `holdfast-go` tells the waiting script that it is over.
 *
 * @throws HoldfastError `invalid_request` for a server that is not `http(s)://host[:port]`.
 */
export function statusScript(node: BootNode, workflow: BootWorkflow | null, context: BootContext): string {
  const { url } = parseServer(context.server);
  const isPending = node.state === 'pending' || node.state === 'installing';
  const isBlocked = workflow === null || renderProblems(workflow, node, context).length > 0;
  if (isPending && isBlocked) return ipxeScript('exit');
  return ipxeScript(
    'set holdfast-go yes',
    `chain --autofree --replace ${url}${bootScriptPath(node.mac)} || clear holdfast-go`,
  );
}

function localDisk(): string[] {
  return [
    'echo Holdfast: booting the local disk',
    'iseq ${platform} efi && goto firmware ||',
    'sanboot --no-describe --drive 0x80 ||',
    'echo Holdfast: the first disk does not boot, going back to the firmware',
    'exit 1',
    ':firmware',
    // UEFI goes on with its boot order only when a boot option fails (UEFI 2.10 §3.1.1).
    'exit 1',
  ];
}

function waiting(node: BootNode, url: string, reasons: readonly string[]): string[] {
  return [
    'clear holdfast-go ||',
    ':wait',
    ...reasons.map((reason) => `echo Holdfast: ${ipxeText(reason)}`),
    `echo Holdfast: node ${ipxeText(node.id)} (${node.mac}) asks again in 10 s`,
    'sleep 10 ||',
    `chain --autofree ${url}${bootStatusPath(node.mac)} ||`,
    'isset ${holdfast-go} || goto wait',
    // What was chained came back, as booting from the disk does under UEFI: so does this.
    'exit 1',
  ];
}

function workflowLines(node: BootNode, workflow: BootWorkflow, context: BootContext, url: string): string[] {
  const name = ipxeText(workflow.name);
  return [
    'set holdfast-tries:int32 0',
    ':try',
    `echo Holdfast: ${workflow.installMethod} ${name}`,
    ...methodLines(node, workflow, context, url),
    ':failed',
    'inc holdfast-tries ||',
    'iseq ${holdfast-tries} 5 && goto again ||',
    `echo Holdfast: ${name} did not boot, attempt \${holdfast-tries} of 5, next in 5 s`,
    'sleep 5 ||',
    'goto try',
    ':again',
    `echo Holdfast: ${name} did not boot, asking ${url} again in 30 s`,
    'sleep 30 ||',
    `chain --autofree --replace ${url}${bootScriptPath(node.mac)} ||`,
    'goto again',
  ];
}

function methodLines(node: BootNode, workflow: BootWorkflow, context: BootContext, url: string): string[] {
  if (workflow.installMethod === 'kernel') return kernelLines(node, workflow, context, url);
  const target = expandVariables(workflow.bootUrl ?? '', node, context);
  const location = target.startsWith('/') ? url + bootFilePath(target) : target;
  if (workflow.installMethod === 'chain') return [`chain --autofree ${location} || goto failed`, 'exit'];
  // An iSCSI root needs the description (iBFT) to find itself again; an image over HTTP has none to give.
  const describe = location.toLowerCase().startsWith('iscsi:') ? '' : '--no-describe ';
  return [`sanboot ${describe}--drive 0x80 ${location} || goto failed`, 'exit'];
}

function kernelLines(node: BootNode, workflow: BootWorkflow, context: BootContext, url: string): string[] {
  const { kernelPath, initrdPath, cmdline } = workflow;
  const words = expandVariables(cmdline ?? '', node, context)
    .split(' ')
    .filter((word) => word !== '');
  // Without initrd= an EFI kernel does not find the image that iPXE loaded.
  const initrdWords = initrdPath === null ? [] : ['initrd=initrd.img'];
  const kernel = ['kernel', url + bootFilePath(kernelPath ?? ''), ...initrdWords, ...words].join(' ');
  return [
    'imgfree ||',
    `${kernel} || goto failed`,
    ...(initrdPath === null
      ? []
      : [`initrd --name initrd.img ${url}${bootFilePath(initrdPath)} || goto failed`]),
    'boot || goto failed',
  ];
}
