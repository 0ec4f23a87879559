import {
  createIscsiBackend,
  type IscsiBackend,
  type IscsiConfig,
  type IscsiSurroundings,
  prepareIscsi,
} from '@holdfast/storage/iscsi';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { makeTempDir } from '../../support/temp-dir.ts';
import { HostTarget } from './host.ts';
import { type RunningProgram, runningPrograms } from './processes.ts';

export const chap = { username: 'hubuser', password: 'hub-secret-1234' };

export interface IscsiBenchOptions {
  sizeMiB?: number;
  filesystem?: 'ext4' | 'xfs';
  mode?: 'auto' | 'kernel';
  /** Default 60 s: an emulated machine on a busy one takes its time. */
  stallMs?: number;
}

/** A LUN of the host with a file system, and a backend on it, by the kernel's initiator. */
export class IscsiBench implements AsyncDisposable {
  readonly target: HostTarget;
  readonly config: IscsiConfig;
  readonly surroundings: IscsiSurroundings;
  readonly volumeId: string;
  readonly backend: IscsiBackend;
  /** What the processes that hold LUNs have said. */
  readonly warnings: string[];
  readonly #resources: AsyncDisposableStack;

  private constructor(
    made: Pick<IscsiBench, 'target' | 'config' | 'surroundings' | 'volumeId' | 'warnings'>,
    resources: AsyncDisposableStack,
  ) {
    this.target = made.target;
    this.config = made.config;
    this.surroundings = made.surroundings;
    this.volumeId = made.volumeId;
    this.warnings = made.warnings;
    this.#resources = resources;
    this.backend = resources.use(this.another());
  }

  static async start(options: IscsiBenchOptions = {}): Promise<IscsiBench> {
    const { sizeMiB = 128, filesystem = 'ext4', mode = 'kernel', stallMs = 60_000 } = options;
    await using resources = new AsyncDisposableStack();
    // tgt refuses digests unless it is told to take them.
    const parameters = { HeaderDigest: 'CRC32C,None', DataDigest: 'CRC32C,None' };
    // xfsprogs makes no file system on less than 300 MiB.
    const size = filesystem === 'xfs' ? Math.max(sizeMiB, 320) : sizeMiB;
    const target = resources.use(await HostTarget.start({ sizeMiB: size, chap, parameters }));
    const state = resources.use(await makeTempDir('iscsi-state'));
    const { host, port, lun } = target.address;
    const config = {
      target: target.address.target,
      portal: host,
      port,
      lun,
      chap_enabled: true,
      chap_username: chap.username,
      chap_password: chap.password,
      filesystem,
      mode,
    } as const;
    const warnings: string[] = [];
    const logger = { warn: (_fields: object, message: string) => void warnings.push(message) };
    const surroundings = { ownerId: 'hub-1', stateDir: state.path, stallMs, logger };
    const { volumeId } = await prepareIscsi(config, { ...surroundings, format: true });
    return new IscsiBench({ target, config, surroundings, volumeId, warnings }, resources.move());
  }

  /** Another backend on the same LUN, as of a later start of the hub, or of another hub. */
  another(changes: Partial<IscsiConfig & IscsiSurroundings> = {}): IscsiBackend {
    const { config, surroundings, volumeId } = this;
    return createIscsiBackend({ ...config, ...surroundings, ...changes, volumeId });
  }

  /** The files of the mounted LUN, behind the backend's back. */
  async files(): Promise<string> {
    const [holder] = await lunHolders();
    const names = await readdir(this.surroundings.stateDir);
    const folder = names.find((name) => name.startsWith('iscsi-'));
    if (holder === undefined || folder === undefined) throw new Error('The LUN is not mounted.');
    return path.join('/proc', String(holder.pid), 'root', this.surroundings.stateDir, folder, 'mnt');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}

/** The processes that have LUNs mounted. */
export async function lunHolders(): Promise<RunningProgram[]> {
  return (await runningPrograms()).filter(({ command }) => command.includes('iscsi/stack/holder-main'));
}

/** The sessions of the kernel. */
export async function kernelSessions(): Promise<string[]> {
  return readdir('/sys/class/iscsi_session');
}

/** The records of open-iscsi: of interfaces, and of nodes by target. */
export async function records(): Promise<string[]> {
  const names = await Promise.all(['ifaces', 'nodes'].map((folder) => readdir(`/etc/iscsi/${folder}`)));
  return names.flat();
}
