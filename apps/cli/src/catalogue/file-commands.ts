import type { CommandSpec, OptionSpec } from '../command-spec.ts';

const dryRun: OptionSpec = { flags: '-n, --dry-run', summary: 'show what would be done, change nothing' };
const overwrite: OptionSpec = { flags: '-f, --overwrite', summary: 'replace what is there' };

/** Files, wherever they are. */
export const fileCommands: readonly CommandSpec[] = [
  {
    name: 'ls',
    summary: 'list files and folders',
    description:
      'Without a path: the backends, and hub:/. Quote wildcards (*, ?, [...], **), so that the command matches them with what the hub has.',
    arguments: [{ form: '[path...]', summary: 'NAME:/path or hub:/HOST/path' }],
    options: [
      { flags: '-l, --long', summary: 'with size, time and SHA-256' },
      { flags: '-R, --recursive', summary: 'what is in subfolders too' },
    ],
    examples: [
      ['holdfast ls default:/', 'the root of the backend "default"'],
      ["holdfast ls -l 'default:/images/**/*.iso'", 'all ISO images below a folder'],
      ['holdfast ls hub:/', 'the machines that have sent files'],
    ],
    exitCodes: ['3  a path, or what a wildcard stands for, is not there'],
    load: () => import('../commands/ls.ts'),
  },
  {
    name: 'tree',
    summary: 'show a folder and all below it',
    arguments: [{ form: '<path>', summary: 'NAME:/path or hub:/HOST/path' }],
    options: [{ flags: '-L, --depth <levels>', summary: 'how deep to go' }],
    examples: [
      ['holdfast tree default:/', 'a whole backend'],
      ['holdfast tree -L 2 hub:/build-7/etc', 'two levels of what a machine has sent'],
    ],
    load: () => import('../commands/tree.ts'),
  },
  {
    name: 'stat',
    summary: 'show all that is known of a file',
    arguments: [{ form: '<path...>', summary: 'NAME:/path or hub:/HOST/path' }],
    examples: [
      ['holdfast stat default:/images/disk.img', 'size, time and SHA-256'],
      ['holdfast stat hub:/build-7/etc/hosts --json', 'a host file for a script'],
    ],
    load: () => import('../commands/stat.ts'),
  },
  {
    name: 'cat',
    summary: 'write the bytes of files to standard output',
    description:
      'The bytes are verified while they pass; when they are not the right ones it says so by exit code 5.',
    arguments: [{ form: '<path...>', summary: 'NAME:/path or hub:/HOST/path' }],
    examples: [
      ['holdfast cat default:/motd', 'a file on the screen'],
      ['holdfast cat default:/dump.sql.gz | gunzip | psql', 'a file into a pipe (set -o pipefail)'],
    ],
    exitCodes: ['5  the bytes do not have the recorded SHA-256'],
    load: () => import('../commands/cat.ts'),
  },
  {
    name: 'put',
    summary: 'send files to the hub',
    description:
      'Without a destination files go to hub:/<this machine>/<their path>. A transfer that was interrupted goes on where it was ' +
      'when the same command is run again. More than one file, and -r, take the destination as a folder, and so does one that ' +
      'ends in a slash.',
    arguments: [
      { form: '<paths...>', summary: 'files of this machine (- is standard input), then the destination' },
    ],
    options: [
      { flags: '-r, --recursive', summary: 'folders with all they hold' },
      overwrite,
      { flags: '--to-hub', summary: 'all paths are files to send; there is no destination among them' },
      { flags: '--host <name>', summary: 'the name of this machine in hub:/ (default: its hostname)' },
      dryRun,
    ],
    examples: [
      ['holdfast put disk.img default:/images/', 'to a folder of a backend'],
      ['holdfast put -r /etc', 'a folder of this machine to the hub'],
      ['pg_dump shop | holdfast put - default:/dumps/shop.sql', 'what another program writes'],
    ],
    exitCodes: ['130  interrupted; the command that goes on is printed'],
    load: () => import('../commands/put.ts'),
  },
  {
    name: 'get',
    summary: 'fetch files from the hub',
    description:
      'A file appears under its name when its SHA-256 was verified. A transfer that was interrupted goes on where it was when the ' +
      'same command is run again. The times and permission bits of host files are restored.',
    arguments: [{ form: '<paths...>', summary: 'NAME:/path or hub:/HOST/path, then where to (default: .)' }],
    options: [{ flags: '-r, --recursive', summary: 'folders with all they hold' }, overwrite, dryRun],
    examples: [
      ['holdfast get default:/images/disk.img', 'into this folder'],
      ['holdfast get -r hub:/build-7/etc /tmp/etc', 'a folder that a machine has sent'],
      ["holdfast get 'default:/images/*.iso' /srv/", 'by a wildcard'],
    ],
    exitCodes: ['5  the bytes do not verify; nothing was left', '130  interrupted; the same command goes on'],
    load: () => import('../commands/get.ts'),
  },
  {
    name: 'rm',
    summary: 'remove files',
    description: 'Host files can be restored until the retention has passed; files of a backend cannot.',
    arguments: [{ form: '<path...>', summary: 'NAME:/path or hub:/HOST/path' }],
    options: [{ flags: '-r, --recursive', summary: 'folders with all they hold' }, dryRun],
    examples: [
      ['holdfast rm default:/images/old.iso', 'asks, then removes a file'],
      ['holdfast rm -r --yes default:/tmp', 'a folder, without asking'],
    ],
    load: () => import('../commands/rm.ts'),
  },
  {
    name: 'mv',
    summary: 'move or rename within a backend',
    arguments: [
      { form: '<source>', summary: 'NAME:/path' },
      { form: '<destination>', summary: 'NAME:/path; one that ends in a slash is a folder' },
    ],
    options: [overwrite, dryRun],
    examples: [
      ['holdfast mv default:/a.iso default:/b.iso', 'renames a file'],
      ['holdfast mv default:/a.iso default:/images/', 'moves it into a folder'],
    ],
    load: () => import('../commands/mv.ts'),
  },
  {
    name: 'cp',
    summary: 'copy a file',
    description:
      'Within a backend the hub copies; between backends, and from hub:/, the bytes go through this machine and are verified.',
    arguments: [
      { form: '<source>', summary: 'NAME:/path or hub:/HOST/path' },
      { form: '<destination>', summary: 'NAME:/path; one that ends in a slash is a folder' },
    ],
    options: [overwrite, dryRun],
    examples: [
      ['holdfast cp default:/a.iso default:/b.iso', 'on the hub'],
      ['holdfast cp default:/a.iso nas:/images/', 'to another backend'],
    ],
    load: () => import('../commands/cp.ts'),
  },
  {
    name: 'mkdir',
    summary: 'make folders on a backend',
    arguments: [{ form: '<path...>', summary: 'NAME:/path' }],
    options: [{ flags: '-p, --parents', summary: 'no failure when it is there' }],
    examples: [
      ['holdfast mkdir default:/images', 'one folder'],
      ['holdfast mkdir -p default:/a/b/c', 'with all above it'],
    ],
    load: () => import('../commands/mkdir.ts'),
  },
  {
    name: 'sync',
    summary: 'make a folder like another one',
    description:
      'One way, between this machine and the hub. Host files are compared by size and time, files of a backend by size and ' +
      'SHA-256; what was hashed once is remembered. Nothing is removed without --delete, and --delete refuses to empty the ' +
      'destination or to remove more than half of it. Symlinks and special files are skipped. Patterns of .holdfastignore ' +
      'files in the local folder and of --exclude hold for both sides. Running it again goes on where it was interrupted.',
    arguments: [
      { form: '<source>', summary: 'a folder here, NAME:/path or hub:/HOST/path' },
      { form: '<destination>', summary: 'the folder that is made like it' },
    ],
    options: [
      { flags: '--delete', summary: 'remove what the source does not have' },
      {
        flags: '--max-delete <count>',
        summary: 'refuse to remove more than that (default: half of what is there)',
      },
      { flags: '--force', summary: 'remove even when it looks like a mistake' },
      { flags: '--checksum', summary: 'compare by SHA-256, whatever the times say' },
      { flags: '--exclude <pattern...>', summary: 'leave out, as in .gitignore' },
      dryRun,
    ],
    examples: [
      ['holdfast sync ./site default:/www --delete', 'a backend folder becomes like a folder here'],
      ['holdfast sync -n default:/www ./site', 'what would be fetched'],
    ],
    exitCodes: [
      '1  some files could not be synced; each is named',
      '4  --delete was refused: it looks like a mistake',
    ],
    load: () => import('../commands/sync.ts'),
  },
  {
    name: 'verify',
    summary: 'read files back and compare their SHA-256',
    description: 'The hub hashes the files again, on their storage. Ctrl-C stops watching; the hub goes on.',
    arguments: [{ form: '<path>', summary: 'NAME:/path, with all below it, or hub:/HOST/path' }],
    examples: [
      ['holdfast verify default:/', 'a whole backend'],
      ['holdfast verify hub:/build-7', 'all that a machine has sent'],
    ],
    exitCodes: ['5  bytes have changed, or cannot be read'],
    load: () => import('../commands/verify.ts'),
  },
  {
    name: 'find',
    summary: 'find files by their SHA-256',
    description: 'Where these bytes are: on backends and among host files.',
    options: [
      { flags: '--sha256 <hex>', summary: 'the SHA-256' },
      { flags: '--like <file>', summary: 'the SHA-256 of a file of this machine' },
    ],
    examples: [
      [
        'holdfast find --sha256 2b0014e66f864580e34aef0c265bf70a68f64efdec2a2e3d9a894a4e4bdcaf3b',
        'by the sum',
      ],
      ['holdfast find --like disk.img', 'does the hub have this file?'],
    ],
    exitCodes: ['3  nowhere'],
    load: () => import('../commands/find.ts'),
  },
];
