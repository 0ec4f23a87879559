import { adminCommands } from './catalogue/admin-commands.ts';
import { bootCommands } from './catalogue/boot-commands.ts';
import { fileCommands } from './catalogue/file-commands.ts';
import { hubCommands } from './catalogue/hub-commands.ts';
import { machineCommands } from './catalogue/machine-commands.ts';
import type { CommandSpec, GroupSpec } from './command-spec.ts';

/** Every command, in the order of the help. */
export const commands: readonly CommandSpec[] = [
  ...hubCommands,
  ...fileCommands,
  ...machineCommands,
  ...adminCommands,
  ...bootCommands,
];

/** The first words of commands of two words. */
export const groups: readonly GroupSpec[] = [
  { name: 'backends', summary: 'list, add, change, test and forget storages' },
  { name: 'settings', summary: 'show and change the settings of the hub' },
  { name: 'uploads', summary: 'list and give up unfinished uploads' },
  { name: 'keys', summary: 'issue, list and revoke API keys' },
  { name: 'boot', summary: 'show what a machine would boot' },
];
