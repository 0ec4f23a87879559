import type { CommandSpec } from '../command-spec.ts';

/** The hub itself, and how to reach it. */
export const hubCommands: readonly CommandSpec[] = [
  {
    name: 'serve',
    summary: 'run a hub on this machine',
    description: 'Runs a hub until it is stopped. Takes the options of the hub: see "holdfast serve --help".',
    passThrough: true,
    examples: [
      ['holdfast serve', 'a hub on http://127.0.0.1:8080 with its data in ./data'],
      ['holdfast serve --data /srv/holdfast --host 0.0.0.0 --tftp-port 69', 'a hub that machines boot from'],
    ],
    load: () => import('../commands/serve.ts'),
  },
  {
    name: 'login',
    summary: 'remember a hub and a key under a name',
    description:
      'Asks for the URL and the key (which is not shown), checks both, and keeps them in profiles.json of ' +
      'HOLDFAST_CONFIG_DIR (default ~/.config/holdfast), which only you can read. The profile of the last login is the ' +
      'one that is used. The URL may also come by --url, the key by --key-file (- is standard input).',
    arguments: [{ form: '[name]', summary: 'name of the profile (default: default)' }],
    options: [{ flags: '--key-file <file>', summary: 'read the key from a file; - is standard input' }],
    examples: [
      ['holdfast login', 'asks for URL and key'],
      [
        'holdfast login lab --url https://hub.lab.example --key-file - < key.txt',
        'a second hub, from a script',
      ],
    ],
    load: () => import('../commands/login.ts'),
  },
  {
    name: 'logout',
    summary: 'forget a profile and its key',
    arguments: [{ form: '[name]', summary: 'name of the profile (default: the one in use)' }],
    options: [{ flags: '--all', summary: 'forget all profiles' }],
    examples: [
      ['holdfast logout', 'forgets the profile in use'],
      ['holdfast logout lab', 'forgets the profile "lab"'],
    ],
    load: () => import('../commands/logout.ts'),
  },
  {
    name: 'whoami',
    summary: 'show the hub, the key and what it may do',
    examples: [
      ['holdfast whoami', 'the profile in use'],
      ['holdfast --profile lab whoami --json', 'another one, for a script'],
    ],
    load: () => import('../commands/whoami.ts'),
  },
  {
    name: 'doctor',
    summary: 'check everything and say what to fix',
    description: 'Checks configuration, permissions, database, backends, clock and ports.',
    examples: [
      ['holdfast doctor', 'checks the hub of the profile and this machine'],
      ['holdfast doctor --json', 'the same for a script'],
    ],
    exitCodes: ['1  a check has failed'],
    load: () => import('../commands/doctor.ts'),
  },
  {
    name: 'completion',
    summary: 'print the completion of a shell',
    arguments: [{ form: '<shell>', summary: 'which shell', choices: ['bash', 'zsh', 'fish'] }],
    examples: [
      ['source <(holdfast completion bash)', 'in ~/.bashrc'],
      ['holdfast completion fish > ~/.config/fish/completions/holdfast.fish', 'for fish'],
    ],
    load: () => import('../commands/completion.ts'),
  },
  {
    name: '__complete',
    summary: 'print what could come next on a command line',
    description: 'What the scripts of "completion" call: the name of the shell, then the words so far.',
    passThrough: true,
    isHidden: true,
    examples: [
      ["holdfast __complete bash ls ''", 'all that can come behind ls'],
      ['holdfast __complete fish ls default:/im', 'paths that begin like this'],
    ],
    load: () => import('../commands/complete.ts'),
  },
];
