import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { freePort } from './free-port.ts';
import { startPortmapper } from './portmapper.ts';
import { startProcess } from './process.ts';
import type { RunningProcess } from './process.ts';
import { makeTempDir } from './temp-dir.ts';

const program = '/usr/bin/ganesha.nfsd';
const startTimeoutMs = 20_000;
const portAttempts = 5;

export interface GaneshaOptions {
  /** Serves NFSv3 as well, or alone; both in a network of their own, beside a portmapper. */
  protocols?: '4' | '3' | '3,4';
  /** Lines for the EXPORT block, which then override what is there. */
  exportOptions?: string;
  /** Default: `RW`. */
  accessType?: 'RW' | 'RO';
  /** Seconds of grace after a start, in which only reclaims are served. Default: none. */
  graceSeconds?: number;
  /** Seconds of the lease of a client. Default 60. */
  leaseSeconds?: number;
  /** Minor versions of NFSv4 that are served. Default `0,1,2`. */
  minorVersions?: string;
  /** The folder to export. Default: a new one. */
  root?: string;
}

/** An nfs-ganesha that exports one folder. */
export interface GaneshaServer extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  /** Of the MOUNT protocol, with NFSv3. */
  readonly mountPort: number;
  /** As clients name it, by NFSv4 and v3 alike. */
  readonly exportPath: string;
  /** The folder on this machine that is exported. */
  readonly root: string;
  readonly pid: number;
  /** `kill -9`; resolves when it is gone. */
  kill(): Promise<void>;
  /** Starts it again on the same ports; resolves when it takes connections. */
  restart(): Promise<void>;
}

function requirePackage(file: string, name: string): void {
  if (existsSync(file)) return;
  throw new Error(`${file} is not there. Install the Debian package ${name}.`);
}

/** Starts a server of its own. Throws with its log when it does not come up. */
export async function startGanesha(options: GaneshaOptions = {}): Promise<GaneshaServer> {
  requirePackage(program, 'nfs-ganesha');
  requirePackage('/usr/lib/x86_64-linux-gnu/ganesha/libfsalvfs.so', 'nfs-ganesha-vfs');
  await using resources = new AsyncDisposableStack();
  const work = resources.use(await makeTempDir('ganesha'));
  const root = options.root ?? work.join('export');
  await mkdir(root, { recursive: true });
  const wantsV3 = options.protocols !== undefined && options.protocols !== '4';
  const portmapper = wantsV3 ? resources.use(await startPortmapper()) : undefined;
  const host = portmapper?.address ?? '127.0.0.1';

  const start = async (port: number, mountPort: number): Promise<RunningProcess> => {
    await writeFile(
      work.join('ganesha.conf'),
      configuration(work.path, root, { host, port, mountPort }, options),
    );
    const args = ['-F', '-f', work.join('ganesha.conf'), '-L', 'STDERR', '-p', work.join('ganesha.pid')];
    const [command, ...before] = [...(portmapper?.prefix ?? []), program];
    const server = await startProcess(command ?? program, [...before, ...args]);
    try {
      await server.waitForOutput(/NFS SERVER INITIALIZED/, { timeoutMs: startTimeoutMs, stream: 'stderr' });
      return server;
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
  };
  let [port, mountPort] = [await freePort(), await freePort()];
  let running: RunningProcess | undefined;
  for (let attempt = 1; running === undefined; attempt += 1) {
    try {
      running = await start(port, mountPort);
    } catch (error) {
      if (attempt === portAttempts || !String(error).includes('bind')) throw error;
      [port, mountPort] = [await freePort(), await freePort()];
    }
  }
  let server = running;
  resources.defer(async () => {
    await server[Symbol.asyncDispose]();
  });
  const owned = resources.move();
  return {
    host,
    port,
    mountPort,
    exportPath: '/export',
    root,
    get pid() {
      return server.pid;
    },
    kill: async () => server[Symbol.asyncDispose](),
    restart: async () => {
      server = await start(port, mountPort);
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Attributes and folders are never cached: the tests look at, and change, the folder behind the server's back. */
function configuration(
  work: string,
  root: string,
  { host, port, mountPort }: Pick<GaneshaServer, 'host' | 'port' | 'mountPort'>,
  options: GaneshaOptions,
): string {
  const { protocols = '4', exportOptions = '', accessType = 'RW', minorVersions = '0,1,2' } = options;
  const { graceSeconds, leaseSeconds } = options;
  const grace =
    graceSeconds === undefined ? 'Graceless = true;' : `Graceless = false; Grace_Period = ${graceSeconds};`;
  const lease = leaseSeconds === undefined ? '' : `Lease_Lifetime = ${leaseSeconds};`;
  return `
NFS_KRB5 { Active_krb5 = false; }
NFS_CORE_PARAM {
  Protocols = ${protocols}; NFS_Port = ${port}; Bind_addr = ${host}; MNT_Port = ${mountPort};
  Enable_NLM = false; Enable_RQUOTA = false; Enable_UDP = false; Mount_Path_Pseudo = true;
}
NFSv4 {
  ${grace} ${lease} Delegations = false; RecoveryBackend = fs; RecoveryRoot = ${work}/recovery;
  Minor_Versions = ${minorVersions}; Only_Numeric_Owners = true;
}
MDCACHE { Dir_Chunk = 0; }
EXPORT_DEFAULTS { SecType = sys; }
EXPORT {
  Export_Id = 1; Path = ${root}; Pseudo = /export; Access_Type = ${accessType}; Squash = No_Root_Squash;
  Protocols = ${protocols}; Transports = TCP; Attr_Expiration_Time = 0;
  ${exportOptions}
  FSAL { Name = VFS; }
}
LOG { Default_Log_Level = EVENT; }
`;
}
