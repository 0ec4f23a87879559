import { isHoldfastError } from '@holdfast/contract/errors';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  anyContext,
  anyNode,
  anyWorkflow,
  chainWorkflow,
  context,
  kernelWorkflow,
  nodeIn,
  restingStates,
  sanbootWorkflow,
} from './boot-samples.ts';
import { firstScript, nodeScript, statusScript } from './ipxe.ts';

const boot = 'http://10.0.2.2:8080/api/v1/boot?mac=52-54-00-12-34-56';
const status = 'http://10.0.2.2:8080/api/v1/boot/status?mac=52-54-00-12-34-56';

function retries(name: string): string {
  return `:failed
inc holdfast-tries ||
iseq \${holdfast-tries} 5 && goto again ||
echo Holdfast: ${name} did not boot, attempt \${holdfast-tries} of 5, next in 5 s
sleep 5 ||
goto try
:again
echo Holdfast: ${name} did not boot, asking http://10.0.2.2:8080 again in 30 s
sleep 30 ||
chain --autofree --replace ${boot} ||
goto again
`;
}

describe('the first script', () => {
  it('asks for the script of the machine until it gets one', () => {
    expect(firstScript(context)).toBe(`#!ipxe
isset \${ip} || dhcp || echo Holdfast: no answer to DHCP, trying all the same
set holdfast-arch \${buildarch} ||
iseq \${holdfast-arch} i386 && cpuid --ext 29 && set holdfast-arch x86_64 ||
set holdfast-tries:int32 0
set holdfast-delay:int32 2
:ask
chain --autofree --replace http://10.0.2.2:8080/api/v1/boot?mac=\${mac:hexhyp}&uuid=\${uuid}&serial=\${serial:uristring}&vendor=\${manufacturer:uristring}&model=\${product:uristring}&arch=\${holdfast-arch} ||
inc holdfast-tries ||
iseq \${holdfast-tries} 5 && set holdfast-delay:int32 15 ||
iseq \${holdfast-tries} 20 && set holdfast-delay:int32 60 ||
echo Holdfast: no boot script from http://10.0.2.2:8080 after \${holdfast-tries} attempts, next in \${holdfast-delay} s
echo Holdfast: check the network, the hub, and its anonymous_boot_networks setting
isset \${ip} || dhcp ||
sleep \${holdfast-delay} ||
goto ask
`);
  });

  it.each([
    'http://h:1/',
    'http://h/x',
    'ftp://h',
    'http://a b',
    'http://h\nshell',
    'http://${x}',
    'http://h||',
    '',
  ])('refuses the server %j', (server) => {
    expect.assertions(1);
    try {
      firstScript({ server });
    } catch (error) {
      expect(isHoldfastError(error, 'invalid_request')).toBe(true);
    }
  });

  it.each([
    'http://h',
    'https://files.example.org',
    'http://[fd00::1]:8080',
    'http://10.0.0.1:80',
    'http://a_b-c:1',
  ])('takes the server %s', (server) => {
    expect(firstScript({ server })).toContain(`--replace ${server}/api/v1/boot?mac=`);
  });
});

describe.each(['pending', 'installing'] as const)('the script of a node that is %s', (state) => {
  const node = nodeIn(state);
  const title = `#!ipxe\n# Holdfast: node rack '1', ${state}\n`;

  it('loads kernel and initrd', () => {
    expect(nodeScript(node, kernelWorkflow, context)).toBe(`${title}set holdfast-tries:int32 0
:try
echo Holdfast: kernel Debian 12
imgfree ||
kernel http://10.0.2.2:8080/api/v1/files/debian%2012/vmlinuz initrd=initrd.img console=ttyS0 url=http://10.0.2.2:8080/p t=token-1 dyndbg="file a +p" || goto failed
initrd --name initrd.img http://10.0.2.2:8080/api/v1/files/debian%2012/initrd.gz || goto failed
boot || goto failed
${retries('Debian 12')}`);
  });

  it('loads a kernel without initrd and command line', () => {
    const workflow = { ...kernelWorkflow, initrdPath: null, cmdline: null };
    expect(nodeScript(node, workflow, context)).toBe(`${title}set holdfast-tries:int32 0
:try
echo Holdfast: kernel Debian 12
imgfree ||
kernel http://10.0.2.2:8080/api/v1/files/debian%2012/vmlinuz || goto failed
boot || goto failed
${retries('Debian 12')}`);
  });

  it('boots an image by sanboot', () => {
    expect(nodeScript(node, sanbootWorkflow, context)).toBe(`${title}set holdfast-tries:int32 0
:try
echo Holdfast: sanboot Live ISO
sanboot --no-describe --drive 0x80 http://10.0.2.2:8080/api/v1/files/isos/a%20b.iso || goto failed
exit
${retries('Live ISO')}`);
  });

  it('describes an iSCSI disk to the system that boots from it', () => {
    const bootUrl = 'iscsi:10.0.0.9::::iqn.2026-01.org.example:disk1';
    expect(nodeScript(node, { ...sanbootWorkflow, bootUrl }, context)).toContain(
      `\nsanboot --drive 0x80 ${bootUrl} || goto failed\n`,
    );
  });

  it('chains another program', () => {
    expect(nodeScript(node, chainWorkflow, context)).toBe(`${title}set holdfast-tries:int32 0
:try
echo Holdfast: chain Shell
chain --autofree http://10.0.2.2:8080/api/v1/files/shell.efi?node=node-1 || goto failed
exit
${retries('Shell')}`);
  });

  it('waits when there is no workflow', () => {
    expect(nodeScript(node, null, context)).toBe(`${title}clear holdfast-go ||
:wait
echo Holdfast: No workflow is chosen for this node yet.
echo Holdfast: node node-1 (52:54:00:12:34:56) asks again in 10 s
sleep 10 ||
chain --autofree ${status} ||
isset \${holdfast-go} || goto wait
exit 1
`);
  });

  it('waits and says why when the workflow cannot be booted', () => {
    const script = nodeScript(node, { ...kernelWorkflow, cmdline: 'ip=${net0/ip}' }, context);
    expect(script).toContain(":wait\necho Holdfast: The workflow's cmdline must not hold net0/ip");
    expect(script).not.toContain('kernel http');
  });

  it('waits when empty variables would leave something that firmware expands', () => {
    const script = nodeScript(
      node,
      { ...kernelWorkflow, cmdline: '$${ip}{net0/ip}' },
      { server: context.server },
    );
    expect(script).toContain(
      ':wait\necho Holdfast: The workflow leaves net0/ip once its variables are filled in.',
    );
  });

  it('is polled: ends at once while it waits, and is fetched once there is something to boot', () => {
    expect(statusScript(node, null, context)).toBe('#!ipxe\nexit\n');
    expect(statusScript(node, { ...kernelWorkflow, kernelPath: null }, context)).toBe('#!ipxe\nexit\n');
    expect(statusScript(node, kernelWorkflow, context)).toBe(
      `#!ipxe\nset holdfast-go yes\nchain --autofree --replace ${boot} || clear holdfast-go\n`,
    );
  });
});

describe.each(restingStates)('the script of a node that is %s', (state) => {
  it.each([kernelWorkflow, sanbootWorkflow, chainWorkflow, null])(
    'boots the local disk, whatever its workflow',
    (w) => {
      expect(nodeScript(nodeIn(state), w, context)).toBe(`#!ipxe
# Holdfast: node rack '1', ${state}
echo Holdfast: booting the local disk
iseq \${platform} efi && goto firmware ||
sanboot --no-describe --drive 0x80 ||
echo Holdfast: the first disk does not boot, going back to the firmware
exit 1
:firmware
exit 1
`);
    },
  );

  it('lets a waiting machine go on', () => {
    expect(statusScript(nodeIn(state), null, context)).toContain(`--replace ${boot}`);
  });
});

describe('text that comes from elsewhere', () => {
  const line =
    /^(?:#!ipxe|# Holdfast: .*|:(?:try|failed|again|wait|firmware)|set holdfast-(?:tries:int32 0|go yes)|inc holdfast-tries \|\||clear holdfast-go \|\||iseq \$\{(?:holdfast-tries\} 5 && goto again|platform\} efi && goto firmware) \|\||echo Holdfast: .*|sleep \d+ \|\||goto (?:try|again|wait)|imgfree \|\||kernel http:\S+(?: .*)? \|\| goto failed|initrd --name initrd\.img http:\S+ \|\| goto failed|boot \|\| goto failed|sanboot (?:--no-describe )?--drive 0x80(?: \S+ \|\| goto failed| \|\|)|chain --autofree (?:--replace )?\S+ \|\|(?: goto failed| clear holdfast-go)?|isset \$\{holdfast-go\} \|\| goto wait|exit(?: 1)?)$/;

  it('never adds a line, a command or a setting to a script', () => {
    fc.assert(
      fc.property(anyNode, fc.option(anyWorkflow), anyContext, (node, workflow, given) => {
        for (const script of [nodeScript(node, workflow, given), statusScript(node, workflow, given)]) {
          const lines = script.split('\n');
          expect(lines.pop()).toBe('');
          for (const text of lines) {
            expect(text).toMatch(line);
            expect(text).not.toMatch(/[^\P{Cc}]/u);
            const settings = [...text.matchAll(/\$\{([^}]*)/g)].map(([, name]) => name);
            for (const name of settings)
              expect(['holdfast-tries', 'holdfast-go', 'platform']).toContain(name);
            if (text.startsWith('echo') || text.startsWith('# '))
              expect(text.slice(2)).not.toMatch(/[;#|&\\]/);
            if (text.startsWith('kernel')) {
              expect(text.split(/\s+/).filter((word) => /^(?:\|\||&&|;|#.*)$/.test(word))).toEqual(['||']);
            }
          }
        }
      }),
      { numRuns: 500 },
    );
  });
});
