import { createNfsBackend, type NfsBackendOptions, prepareNfs } from '@holdfast/storage/nfs';
import { readFile } from 'node:fs/promises';
import { makeTempDir } from '../../support/temp-dir.ts';
import { HostShare, type HostShareOptions } from './host.ts';
import { runningPrograms } from './processes.ts';

type NfsBackend = ReturnType<typeof createNfsBackend>;
type Options = NfsBackendOptions & { mountRoot: string };

export interface NfsBenchOptions extends HostShareOptions {
  mode?: 'auto' | 'kernel';
  /** Default 60 s: an emulated machine on a busy one takes its time. */
  timeLimitMs?: number;
}

/** A share of the host and a backend on it, by the kernel's client. */
export class NfsBench implements AsyncDisposable {
  readonly share: HostShare;
  readonly options: Options;
  readonly backend: NfsBackend;
  readonly #resources: AsyncDisposableStack;

  private constructor(share: HostShare, options: Options, resources: AsyncDisposableStack) {
    this.share = share;
    this.options = options;
    this.#resources = resources;
    this.backend = resources.use(createNfsBackend(options));
  }

  static async start(options: NfsBenchOptions = {}): Promise<NfsBench> {
    const { mode = 'kernel', timeLimitMs = 60_000, ...server } = options;
    await using resources = new AsyncDisposableStack();
    const share = resources.use(await HostShare.start(server));
    const mounts = resources.use(await makeTempDir('nfs-mounts'));
    const { host, port, exportPath, mountPort } = share.address;
    const config = {
      server: host,
      port,
      export_path: exportPath,
      mode,
      mount_options: server.protocols === '3' ? `vers=3,mountport=${mountPort}` : 'vers=4.1',
    } as const;
    const { volumeId } = await prepareNfs(config, { mountRoot: mounts.path, timeLimitMs });
    const created = { ...config, volumeId, ownerId: 'hub-1', mountRoot: mounts.path, timeLimitMs };
    return new NfsBench(share, created, resources.move());
  }

  /** Another backend, as after a start of the hub. */
  another(changes: Partial<NfsBackendOptions> = {}): NfsBackend {
    return createNfsBackend({ ...this.options, ...changes });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}

/** The processes that have shares mounted. */
export async function shareHolders(): Promise<number[]> {
  const programs = await runningPrograms();
  return programs.filter(({ command }) => command.includes('nfs/kernel/holder-main')).map(({ pid }) => pid);
}

/** The lines about NFS in the table of mounts of a process. */
export async function nfsMounts(pid: number | 'self'): Promise<string[]> {
  const table = await readFile(`/proc/${pid}/mounts`, 'utf8');
  return table.split('\n').filter((line) => / nfs4? /.test(line));
}
