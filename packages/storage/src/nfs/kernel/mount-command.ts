import type { NfsSettings } from '../config.ts';

/**
 * A soft mount ends calls to a dead server with an error instead of holding a thread of ours for ever. It is safe here,
 * as every write is staged, and published only when it was read back.
 */
const defaults = ['soft', 'timeo=50', 'retrans=2', 'nosuid', 'nodev'];
/** Options that say the contrary of a default. */
const contraries: Record<string, string[]> = {
  soft: ['hard', 'soft', 'softerr', 'softreval'],
  timeo: ['timeo'],
  retrans: ['retrans'],
  nosuid: ['suid'],
  nodev: ['dev'],
};

/** What is mounted, as mount(8) and the table of mounts have it: `server:/path`. */
export function mountSource({ server, exportPath }: Pick<NfsSettings, 'server' | 'exportPath'>): string {
  return `${server.includes(':') ? `[${server}]` : server}:${exportPath}`;
}

/** The arguments of mount(8) for a share. The administrator's own options go before the defaults. */
export function mountArguments(settings: NfsSettings, mountPoint: string): string[] {
  const named = new Set(settings.mountOptions.map((option) => option.split('=')[0] ?? ''));
  const kept = defaults.filter((option) => {
    const name = option.split('=')[0] ?? '';
    return !(contraries[name] ?? []).some((contrary) => named.has(contrary)) && !named.has(name);
  });
  const options = [
    `vers=${settings.kernelVersion}`,
    `port=${settings.port}`,
    ...settings.mountOptions,
    ...kept,
  ];
  return ['-t', 'nfs', '-o', options.join(','), mountSource(settings), mountPoint];
}
