import fc from 'fast-check';
import { nodeStates } from '@holdfast/contract/nodes';
import type { NodeState } from '@holdfast/contract/nodes';
import type { BootContext, BootNode, BootWorkflow } from './boot-input.ts';

/** Samples and generators that the tests of the boot texts share. */
export const context: BootContext = { server: 'http://10.0.2.2:8080', ip: '10.0.2.15', nodeToken: 'token-1' };

export function nodeIn(state: NodeState): BootNode {
  return { id: 'node-1', mac: '52:54:00:12:34:56', name: "rack '1'", state };
}

export const kernelWorkflow: BootWorkflow = {
  name: 'Debian 12',
  installMethod: 'kernel',
  kernelPath: '/debian 12/vmlinuz',
  initrdPath: '/debian 12/initrd.gz',
  cmdline: 'console=ttyS0  url=${server}/p t=${node_token} dyndbg="file a +p"',
  bootUrl: null,
};

export const sanbootWorkflow: BootWorkflow = {
  name: 'Live ISO',
  installMethod: 'sanboot',
  kernelPath: null,
  initrdPath: null,
  cmdline: null,
  bootUrl: '/isos/a b.iso',
};

export const chainWorkflow: BootWorkflow = {
  name: 'Shell',
  installMethod: 'chain',
  kernelPath: null,
  initrdPath: null,
  cmdline: null,
  bootUrl: '${server}/api/v1/files/shell.efi?node=${node_id}',
};

export const restingStates = nodeStates.filter((state) => state !== 'pending' && state !== 'installing');

/** Text as a hostile machine or person would choose it. */
const hostileText = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        '\n',
        '\r\n',
        '\u2028',
        '\0',
        ' ',
        '||',
        '&&',
        ';',
        '#',
        "'",
        '"',
        '\\',
        '${',
        '}',
        '$(',
        '`',
      ),
      fc.constantFrom('shell', 'chain http://evil/', 'exit', ':try', 'goto', '${server}', '${mac}', '${ip}'),
      fc.string({ unit: 'binary', maxLength: 8 }),
    ),
    { maxLength: 12 },
  )
  .map((parts) => parts.join(''));

export const anyNode: fc.Arbitrary<BootNode> = fc.record({
  id: hostileText,
  mac: fc.constant('52:54:00:12:34:56'),
  name: fc.option(hostileText),
  state: fc.constantFrom(...nodeStates),
});

const hostilePath = hostileText.map((text) => `/${text}`);

/** Half of the fields are sound, so that hostile text also meets workflows that are rendered. */
export const anyWorkflow: fc.Arbitrary<BootWorkflow> = fc.record({
  name: hostileText,
  installMethod: fc.constantFrom('kernel', 'sanboot', 'chain'),
  kernelPath: fc.oneof(fc.constant('/a b/vmlinuz'), fc.option(hostilePath)),
  initrdPath: fc.oneof(fc.constant('/a b/initrd'), fc.option(hostilePath)),
  cmdline: fc.oneof(fc.constant('n=${node_id} i=${ip} t=${node_token}$${ip}{x}'), fc.option(hostileText)),
  bootUrl: fc.oneof(
    fc.constant('${server}/${node_id}/${ip}?${node_token}'),
    fc.option(
      fc.oneof(
        hostileText,
        hostilePath,
        hostilePath.map((path) => `http://h${path}`),
      ),
    ),
  ),
});

export const anyContext: fc.Arbitrary<BootContext> = fc.record({
  server: fc.constant('http://10.0.2.2:8080'),
  ip: hostileText,
  nodeToken: hostileText,
});
