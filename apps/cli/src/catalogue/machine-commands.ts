import type { CommandSpec } from '../command-spec.ts';

/** What machines have sent, and what is happening now. */
export const machineCommands: readonly CommandSpec[] = [
  {
    name: 'hosts',
    summary: 'list the machines that have sent files',
    examples: [
      ['holdfast hosts', 'with the number and size of their files'],
      ['holdfast hosts --json', 'for a script'],
    ],
    load: () => import('../commands/hosts.ts'),
  },
  {
    name: 'history',
    summary: 'list the versions of a host file',
    arguments: [{ form: '<path>', summary: 'hub:/HOST/path' }],
    examples: [
      ['holdfast history hub:/build-7/etc/hosts', 'all versions, the newest first'],
      ['holdfast history hub:/build-7/etc/hosts --json', 'for a script'],
    ],
    load: () => import('../commands/history.ts'),
  },
  {
    name: 'restore',
    summary: 'bring a deleted host file or an older version back',
    arguments: [{ form: '[path...]', summary: 'hub:/HOST/path' }],
    options: [
      { flags: '--file-id <id>', summary: 'this version by its identifier, in place of a path' },
      { flags: '--version <number>', summary: 'this version (see "holdfast history")' },
      { flags: '-r, --recursive', summary: 'all deleted files below the path' },
      { flags: '-n, --dry-run', summary: 'show what would be done, change nothing' },
    ],
    examples: [
      ['holdfast restore hub:/build-7/etc/hosts', 'a file that was deleted'],
      ['holdfast restore --version 3 hub:/build-7/etc/hosts', 'an older version becomes the newest'],
    ],
    load: () => import('../commands/restore.ts'),
  },
  {
    name: 'transfers',
    summary: 'list, follow and end what leaves the hub now',
    arguments: [
      { form: '[action]', summary: 'list (what it does without) or end', choices: ['list', 'end'] },
      { form: '[id...]', summary: 'end: identifiers of transfers' },
    ],
    options: [{ flags: '--follow', summary: 'list: go on until Ctrl-C' }],
    examples: [
      ['holdfast transfers', 'what leaves the hub now'],
      ['holdfast transfers --follow --json', 'one JSON document a line'],
      ['holdfast transfers end 01a1fe2c-0f2b-7c1d-9a55-1c4b5c9d2f10', 'cuts its connection'],
    ],
    load: () => import('../commands/transfers.ts'),
  },
  {
    name: 'events',
    summary: 'follow what happens on the hub',
    options: [{ flags: '--types <type...>', summary: 'only these types; upload.* names all of a kind' }],
    examples: [
      ['holdfast events', 'until Ctrl-C'],
      ['holdfast events --types upload.completed --json', 'one JSON document a line'],
    ],
    load: () => import('../commands/events.ts'),
  },
];
