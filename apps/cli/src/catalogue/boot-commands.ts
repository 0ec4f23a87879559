import type { CommandSpec } from '../command-spec.ts';

/** Machines that boot from the hub. */
export const bootCommands: readonly CommandSpec[] = [
  {
    name: 'nodes',
    summary: 'list, show, change and forget the machines that boot',
    description: 'A node is named by its MAC address in any form, its identifier, or its name.',
    arguments: [
      {
        form: '[action]',
        summary: 'list (what it does without), show, edit or rm',
        choices: ['list', 'show', 'edit', 'rm'],
      },
      { form: '[node]', summary: 'show, edit, rm: identifier, name or MAC address' },
    ],
    options: [
      { flags: '--state <state>', summary: 'edit: its new state; list: only those in this state' },
      { flags: '--name <name>', summary: 'edit: its new name; null clears it' },
      {
        flags: '--workflow <workflow>',
        summary: 'edit: what it boots, by name or identifier; null clears it',
      },
      { flags: '--arch <name>', summary: 'edit: its architecture; null clears it' },
    ],
    examples: [
      ['holdfast nodes list', 'with state and workflow'],
      ['holdfast nodes show 52:54:00:12:34:56', 'all that is known of one'],
      ['holdfast nodes edit rack1-07 --workflow debian-12 --state pending', 'installs it at its next boot'],
    ],
    load: () => import('../commands/nodes.ts'),
  },
  {
    name: 'workflows',
    summary: 'list, show, create, change and remove what machines can boot',
    arguments: [
      {
        form: '[action]',
        summary: 'list (what it does without), show, create, edit or rm',
        choices: ['list', 'show', 'create', 'edit', 'rm'],
      },
      { form: '[workflow]', summary: 'create: its name; show, edit, rm: identifier or name' },
    ],
    options: [
      { flags: '--name <name>', summary: 'edit: its new name' },
      {
        flags: '--method <method>',
        summary: 'how it boots; a new one by its kernel',
        choices: ['kernel', 'sanboot', 'chain'],
      },
      { flags: '--kernel <path>', summary: 'the kernel, on the boot backend' },
      { flags: '--initrd <path>', summary: 'the initial RAM disk, on the boot backend; null clears it' },
      { flags: '--cmdline <text>', summary: 'the kernel command line' },
      { flags: '--boot-url <url>', summary: 'what sanboot and chain boot; null clears it' },
      {
        flags: '--architecture <name>',
        summary: 'for which machines (x86_64)',
        choices: ['x86_64', 'arm64', 'i386'],
      },
      { flags: '--boot-mode <mode>', summary: 'for which firmware (uefi)', choices: ['bios', 'uefi'] },
      { flags: '--force', summary: 'rm: also when nodes refer to it' },
    ],
    examples: [
      ['holdfast workflows list', 'all of them'],
      [
        "holdfast workflows create debian-12 --kernel /debian/vmlinuz --initrd /debian/initrd.gz --cmdline 'auto=true'",
        'a new one',
      ],
      ['holdfast workflows rm debian-12', 'asks first'],
    ],
    load: () => import('../commands/workflows.ts'),
  },
  {
    name: 'boot preview',
    summary: 'show the script that a machine would get',
    arguments: [{ form: '<node>', summary: 'identifier, name or MAC address' }],
    options: [{ flags: '--format <loader>', summary: 'for which loader', choices: ['ipxe', 'grub'] }],
    examples: [
      ['holdfast boot preview rack1-07', 'its iPXE script'],
      ['holdfast boot preview rack1-07 --format grub', 'the same for GRUB'],
    ],
    exitCodes: ['1  the machine would not boot'],
    load: () => import('../commands/boot-preview.ts'),
  },
];
