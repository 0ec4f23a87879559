import type { CommandSpec, OptionSpec } from '../command-spec.ts';

const backendConfig: readonly OptionSpec[] = [
  { flags: '--config <json>', summary: 'the configuration, or a part of it, as a JSON object' },
  {
    flags: '--set <field=value...>',
    summary: 'a field of the configuration (docs/backends.md); null clears it',
  },
  {
    flags: '--secret <field...>',
    summary: 'ask for this field without showing it, or read it from standard input',
  },
];

/** Storages, settings, uploads and keys. */
export const adminCommands: readonly CommandSpec[] = [
  {
    name: 'backends list',
    summary: 'list the storages',
    examples: [
      ['holdfast backends list', 'with state and free space'],
      ['holdfast backends list --json', 'for a script'],
    ],
    load: () => import('../commands/backends-list.ts'),
  },
  {
    name: 'backends add',
    summary: 'add a storage',
    description:
      'Without options it asks. The hub checks the configuration against the real thing before it keeps it.',
    arguments: [
      { form: '[name]', summary: 'its name' },
      { form: '[type]', summary: 'its kind', choices: ['local', 'nfs', 'http', 's3', 'iscsi'] },
    ],
    options: [...backendConfig, { flags: '--format', summary: 'make a file system on a blank LUN (iscsi)' }],
    examples: [
      ['holdfast backends add', 'asks for everything'],
      [
        'holdfast backends add nas nfs --set server=nas.lab --set export_path=/export/boot',
        'without questions',
      ],
    ],
    load: () => import('../commands/backends-add.ts'),
  },
  {
    name: 'backends edit',
    summary: 'change the name or the configuration of a storage',
    arguments: [{ form: '<backend>', summary: 'name or identifier' }],
    options: [{ flags: '--name <name>', summary: 'its new name' }, ...backendConfig],
    examples: [
      ['holdfast backends edit nas --name archive', 'renames it'],
      ['holdfast backends edit nas --set server=nas2.lab', 'changes one field'],
    ],
    load: () => import('../commands/backends-edit.ts'),
  },
  {
    name: 'backends test',
    summary: 'run the checks of a storage',
    arguments: [{ form: '<backend>', summary: 'name or identifier' }],
    examples: [
      ['holdfast backends test nas', 'named checks, a small write among them'],
      ['holdfast backends test nas --quiet && echo well', 'in a script'],
    ],
    exitCodes: ['6  a check has failed'],
    load: () => import('../commands/backends-test.ts'),
  },
  {
    name: 'backends rm',
    summary: 'forget a storage; its files stay where they are',
    arguments: [{ form: '<backend>', summary: 'name or identifier' }],
    options: [{ flags: '--force', summary: 'also when it is in use' }],
    examples: [
      ['holdfast backends rm nas', 'asks first'],
      ['holdfast backends rm nas --force --yes', 'without asking, although it is in use'],
    ],
    load: () => import('../commands/backends-rm.ts'),
  },
  {
    name: 'settings get',
    summary: 'show the settings',
    arguments: [{ form: '[name]', summary: 'one of them' }],
    examples: [
      ['holdfast settings get', 'all of them'],
      ['holdfast settings get file_serving_bandwidth_mbps', 'one value'],
    ],
    load: () => import('../commands/settings-get.ts'),
  },
  {
    name: 'settings set',
    summary: 'change settings',
    arguments: [{ form: '<name=value...>', summary: 'what to change; null clears, commas part a list' }],
    examples: [
      ['holdfast settings set file_serving_bandwidth_mbps=800', 'one setting'],
      ['holdfast settings set default_boot_backend_id=null', 'clears one'],
    ],
    load: () => import('../commands/settings-set.ts'),
  },
  {
    name: 'uploads list',
    summary: 'list upload sessions',
    options: [{ flags: '--status <status>', summary: 'only those in this state' }],
    examples: [
      ['holdfast uploads list', 'newest first'],
      ['holdfast uploads list --status uploading', 'those under way'],
    ],
    load: () => import('../commands/uploads-list.ts'),
  },
  {
    name: 'uploads abort',
    summary: 'give uploads up and remove what has arrived',
    arguments: [{ form: '<id...>', summary: 'identifiers of uploads' }],
    examples: [
      ['holdfast uploads abort 01a1fe2c-0f2b-7c1d-9a55-1c4b5c9d2f10', 'one of them'],
      [
        'holdfast uploads list --status failed --json | jq -r ".uploads[].upload_id" | xargs holdfast uploads abort --yes',
        'many',
      ],
    ],
    load: () => import('../commands/uploads-abort.ts'),
  },
  {
    name: 'keys create',
    summary: 'issue an API key, which is shown once',
    description: 'Issues an API key. Its token is the only line on standard output, and is not shown again.',
    arguments: [{ form: '<name>', summary: 'what it is for' }],
    options: [
      { flags: '--scope <scope...>', summary: 'what it may do: files:read, files:write, …, admin' },
      { flags: '--backend <backend>', summary: 'the only backend that it reaches' },
      { flags: '--path <prefix>', summary: 'the only folder that it reaches' },
      { flags: '--host <name>', summary: 'the only machine whose files it reaches' },
      { flags: '--quota-bytes <bytes>', summary: 'how much it may keep on the hub' },
      { flags: '--quota-files <count>', summary: 'how many files it may keep on the hub' },
      { flags: '--expires <time>', summary: 'until when it is good (ISO 8601)' },
    ],
    examples: [
      [
        'holdfast keys create ci --scope files:read --scope files:write --backend default --path /ci',
        'for a pipeline',
      ],
      ['holdfast keys create build-7 --scope files:write --host build-7', 'for a machine'],
    ],
    load: () => import('../commands/keys-create.ts'),
  },
  {
    name: 'keys list',
    summary: 'list the API keys',
    options: [{ flags: '--all', summary: 'revoked ones too' }],
    examples: [
      ['holdfast keys list', 'those that are good'],
      ['holdfast keys list --all --json', 'every one, for a script'],
    ],
    load: () => import('../commands/keys-list.ts'),
  },
  {
    name: 'keys revoke',
    summary: 'make an API key worthless',
    arguments: [{ form: '<key...>', summary: 'identifiers or names' }],
    examples: [
      ['holdfast keys revoke ci', 'asks first'],
      ['holdfast keys revoke ci --yes', 'without asking'],
    ],
    load: () => import('../commands/keys-revoke.ts'),
  },
  {
    name: 'operations',
    summary: 'read the operation log',
    arguments: [{ form: '[action]', summary: 'list (what it does without)', choices: ['list'] }],
    options: [
      {
        flags: '--operation <kind>',
        summary: 'only those of this kind',
        choices: ['upload', 'download', 'delete', 'access', 'metadata_change', 'sync', 'verify'],
      },
      { flags: '--file <path>', summary: 'only those about this file; the exact path' },
      { flags: '--failed', summary: 'only those that failed' },
      { flags: '--since <time>', summary: 'only those started since (ISO 8601)' },
      { flags: '--limit <number>', summary: 'so many of the newest (50)' },
    ],
    examples: [
      ['holdfast operations list', 'the newest 50'],
      ['holdfast operations list --failed --since 2026-03-01T00:00:00Z --json', 'for a script'],
    ],
    load: () => import('../commands/operations.ts'),
  },
  {
    name: 'vault',
    summary: 'show, clean up and verify what is kept once by its SHA-256',
    description:
      '"stats" shows what the vault holds, "collect" removes what nothing refers to (the hub does so every hour), "verify" hashes ' +
      'contents again where they are kept: all of them, those of a machine or folder (hub:/HOST/path), or those named by --sha256.',
    arguments: [
      {
        form: '[action]',
        summary: 'stats (what it does without), collect or verify',
        choices: ['stats', 'collect', 'verify'],
      },
      { form: '[path]', summary: 'verify: only the files of hub:/HOST/path' },
    ],
    options: [
      { flags: '-n, --dry-run', summary: 'collect: only count' },
      { flags: '--sha256 <sum...>', summary: 'verify: only these contents' },
      { flags: '--rate <mbps>', summary: 'verify: read at most so many megabits a second' },
    ],
    examples: [
      ['holdfast vault stats', 'what it holds, and what that saves'],
      ['holdfast vault collect --dry-run', 'what a collection would remove'],
      ['holdfast vault verify hub:/build-7 --rate 200', 'gently'],
    ],
    exitCodes: ['5  verify found damage'],
    load: () => import('../commands/vault.ts'),
  },
];
