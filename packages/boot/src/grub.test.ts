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
import { firstGrubConfig, nodeGrubConfig } from './grub.ts';
import { grubLocation } from './grub-location.ts';
import { cmdlineWords, grubQuote } from './grub-text.ts';

function asking(...reasons: string[]): string {
  return `${reasons.map((reason) => `echo 'Holdfast: ${reason}'\n`).join('')}echo 'Holdfast: node node-1 (52:54:00:12:34:56) asks again in 10 s'
sleep 10
if [ "$holdfast_asking" != "yes" ]; then
  set holdfast_asking=yes
  export holdfast_asking
  while true; do
    source '(http,10.0.2.2:8080)/api/v1/boot/grub?mac=52-54-00-12-34-56'
    echo 'Holdfast: asking the hub again in 5 s'
    sleep 5
  done
fi
`;
}

describe('the first GRUB configuration', () => {
  it('asks by the MAC address that GRUB booted from, again and again', () => {
    expect(firstGrubConfig(context)).toBe(`# Holdfast: asks the hub what this machine boots
set holdfast_mac="$net_default_mac"
if [ "$holdfast_mac" = "" ]; then
  set holdfast_mac="$net_efinet0_dhcp_mac"
fi
set holdfast_asking=yes
export holdfast_asking
while true; do
  source "(http,10.0.2.2:8080)/api/v1/boot/grub?mac=$holdfast_mac"
  echo 'Holdfast: asking the hub again in 5 s'
  sleep 5
done
`);
  });

  it('says that GRUB has no TLS', () => {
    expect(firstGrubConfig({ server: 'https://files.example.org' }))
      .toBe(`echo 'Holdfast: GRUB cannot read https addresses. Give the hub an http address for booting.'
sleep 30
exit 1
`);
  });
});

describe.each(['pending', 'installing'] as const)('the GRUB configuration of a node that is %s', (state) => {
  const node = nodeIn(state);
  const title = `# Holdfast: node rack '1', ${state}\n`;

  it('loads kernel and initrd', () => {
    expect(nodeGrubConfig(node, kernelWorkflow, context)).toBe(`${title}for attempt in 1 2 3 4 5; do
  echo 'Holdfast: kernel Debian 12'
  if linux '(http,10.0.2.2:8080)/api/v1/files/debian%2012/vmlinuz' 'console=ttyS0' 'url=http://10.0.2.2:8080/p' 't=token-1' 'dyndbg=file a +p'; then
    if initrd '(http,10.0.2.2:8080)/api/v1/files/debian%2012/initrd.gz'; then
      boot
    fi
  fi
  echo 'Holdfast: Debian 12 did not boot, next attempt in 5 s'
  sleep 5
done
${asking('Debian 12 did not boot.')}`);
  });

  it('loads a kernel without initrd', () => {
    expect(nodeGrubConfig(node, { ...kernelWorkflow, initrdPath: null, cmdline: null }, context)).toContain(`
  if linux '(http,10.0.2.2:8080)/api/v1/files/debian%2012/vmlinuz'; then
    boot
  fi
`);
  });

  it('chains another program under UEFI only', () => {
    expect(nodeGrubConfig(node, chainWorkflow, context)).toBe(`${title}if [ "$grub_platform" != "efi" ]; then
  echo 'Holdfast: GRUB on BIOS cannot chain a network boot program. Boot this node with iPXE.'
  sleep 30
  exit 1
fi
echo 'Holdfast: chain Shell'
if chainloader '(http,10.0.2.2:8080)/api/v1/files/shell.efi?node=node-1'; then
  boot
fi
${asking('Shell did not boot.')}`);
  });

  it('says that GRUB has no sanboot', () => {
    expect(nodeGrubConfig(node, sanbootWorkflow, context))
      .toBe(`${title}echo 'Holdfast: GRUB has no sanboot. Boot this node with iPXE.'
sleep 30
exit 1
`);
  });

  it('waits when there is no workflow', () => {
    expect(nodeGrubConfig(node, null, context)).toBe(
      title + asking('No workflow is chosen for this node yet.'),
    );
  });

  it('waits and says why when the workflow cannot be booted', () => {
    expect(nodeGrubConfig(node, { ...kernelWorkflow, kernelPath: '/../x' }, context)).toBe(
      title + asking("The workflow'\\''s kernel_path must not hold . or .. segments."),
    );
  });

  it('says that GRUB cannot read a hub over https', () => {
    expect(nodeGrubConfig(node, kernelWorkflow, { server: 'https://h' })).toContain(
      'GRUB cannot read https addresses.',
    );
    expect(nodeGrubConfig(node, null, { server: 'https://h' })).toContain(
      'GRUB cannot read https addresses.',
    );
  });
});

describe.each(restingStates)('the GRUB configuration of a node that is %s', (state) => {
  it.each([kernelWorkflow, sanbootWorkflow, chainWorkflow, null])(
    'boots the local disk, whatever its workflow',
    (w) => {
      expect(nodeGrubConfig(nodeIn(state), w, context)).toBe(`# Holdfast: node rack '1', ${state}
echo 'Holdfast: booting the local disk'
if [ "$grub_platform" = "efi" ]; then
  exit 1
fi
set root='hd0'
if chainloader +1; then
  boot
fi
echo 'Holdfast: the first disk does not boot, going back to the firmware'
exit 1
`);
    },
  );
});

describe('a location in the words of GRUB', () => {
  it.each([
    ['http://10.0.0.1/a%20b?c=d', '(http,10.0.0.1)/a%20b?c=d'],
    ['HTTP://h:8080', '(http,h:8080)/'],
    ['tftp://10.0.0.1/grub/x.efi', '(tftp,10.0.0.1)/grub/x.efi'],
    ['http://[fd00::1]:8080/x', '(http,[fd00::1]:8080)/x'],
  ])('is made of %s', (url, file) => {
    expect(grubLocation(url)).toEqual({ file });
  });

  it.each(['https://h/x', 'iscsi:10.0.0.1::::iqn.2026-01.org.example:a', 'ftp://h/x', ''])(
    'is none for %j',
    (url) => {
      expect(grubLocation(url)).toHaveProperty('problem');
    },
  );
});

describe('words of a kernel command line', () => {
  it('are split as the kernel splits them', () => {
    expect(cmdlineWords(' a=1  b="x y" "c d"=2 e ')).toEqual(['a=1', 'b=x y', 'c d=2', 'e']);
    expect(cmdlineWords('')).toEqual([]);
    expect(cmdlineWords('a "open end')).toEqual(['a', 'open end']);
  });
});

/** What GRUB makes of a word that is wholly in single quotes, or undefined when it is not. */
function unquote(word: string): string | undefined {
  if (!/^'[^']*'(?:\\''[^']*')*$/.test(word)) return undefined;
  return word.slice(1, -1).replaceAll(`'\\''`, "'");
}

describe('text that comes from elsewhere', () => {
  it('stays one quoted word', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(unquote(grubQuote(text))).toBe(text.replace(/[\p{Cc}\u2028\u2029]/gu, ''));
      }),
    );
  });

  it('never adds a line or a command to a configuration', () => {
    const quoted = "'[^']*'(?:\\\\''[^']*')*";
    const fixed =
      '# Holdfast: .*|for attempt in 1 2 3 4 5; do|boot|fi|done|while true; do|sleep \\d+|exit 1|' +
      "if chainloader \\+1; then|set root='hd0'|set holdfast_asking=yes|export holdfast_asking|" +
      'if \\[ "\\$(?:grub_platform|holdfast_asking)" !?= "(?:efi|yes)" \\]; then';
    const line = new RegExp(
      `^ *(?:${fixed}|(?:echo|source) ${quoted}|if (?:linux|initrd|chainloader)(?: ${quoted})+; then)$`,
    );
    fc.assert(
      fc.property(anyNode, fc.option(anyWorkflow), anyContext, (node, workflow, given) => {
        const lines = nodeGrubConfig(node, workflow, given).split('\n');
        expect(lines.pop()).toBe('');
        for (const text of lines) {
          expect(text).toMatch(line);
          expect(text).not.toMatch(/\p{Cc}/u);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('a configuration that GRUB fetched over TFTP', () => {
  const overTftp = { ...context, via: 'tftp' as const };

  it('asks for the machine over TFTP too', () => {
    expect(firstGrubConfig(overTftp)).toContain('source "(tftp)/grub/grub.cfg-01-$holdfast_mac"');
  });

  it('loads kernel and initrd over TFTP, their paths as they are', () => {
    const text = nodeGrubConfig(nodeIn('installing'), kernelWorkflow, overTftp);
    expect(text).toContain("linux '(tftp)/debian 12/vmlinuz'");
    expect(text).toContain("initrd '(tftp)/debian 12/initrd.gz'");
    expect(text).toContain("source '(tftp)/grub/grub.cfg-01-52:54:00:12:34:56'");
    expect(text).not.toContain('(http,');
  });
});
