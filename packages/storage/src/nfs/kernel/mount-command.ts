import type { NfsSettings } from '../config.ts';

/** Options that the administrator's own take the place of, when they say the same or the contrary. */
interface Default {
  option: string;
  /** Names of options that say something about the same thing. */
  about: readonly string[];
}

const defaults: readonly Default[] = [
  // Ends calls to a dead server with an error instead of holding a thread of ours for ever. It is safe here, as every
  // write is staged, and published only when it was read back.
  { option: 'soft', about: ['hard', 'soft', 'softerr', 'softreval'] },
  { option: 'timeo=50', about: ['timeo'] },
  { option: 'retrans=2', about: ['retrans'] },
  // mount(8) would try for two minutes on its own, without a word why.
  { option: 'retry=0', about: ['retry'] },
  // Attributes that the kernel remembers would hide for up to a minute that somebody else has changed a file.
  {
    option: 'actimeo=0',
    about: ['actimeo', 'acregmin', 'acregmax', 'acdirmin', 'acdirmax', 'ac', 'noac'],
  },
  { option: 'nosuid', about: ['suid', 'nosuid'] },
  { option: 'nodev', about: ['dev', 'nodev'] },
];
/** Locks of NFSv3 need services of their own on both sides (rpc.statd); the hub takes no locks. */
const version3Defaults: readonly Default[] = [{ option: 'nolock', about: ['lock', 'nolock', 'local_lock'] }];

/** What is mounted, as mount(8) and the table of mounts have it: `server:/path`. */
export function mountSource({ server, exportPath }: Pick<NfsSettings, 'server' | 'exportPath'>): string {
  return `${server.includes(':') ? `[${server}]` : server}:${exportPath}`;
}

/** The arguments of mount(8) for a share. The administrator's own options go before the defaults. */
export function mountArguments(
  settings: Pick<
    NfsSettings,
    'server' | 'exportPath' | 'mountOptions' | 'version' | 'kernelVersion' | 'port'
  >,
  mountPoint: string,
): string[] {
  const named = new Set(settings.mountOptions.map((option) => option.split('=')[0] ?? ''));
  const kept = [...defaults, ...(settings.version === '3' ? version3Defaults : [])]
    .filter(({ about }) => !about.some((name) => named.has(name)))
    .map(({ option }) => option);
  const options = [
    `vers=${settings.kernelVersion}`,
    `port=${settings.port}`,
    ...settings.mountOptions,
    ...kept,
  ];
  return ['-t', 'nfs', '-o', options.join(','), mountSource(settings), mountPoint];
}
