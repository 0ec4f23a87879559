import { HoldfastError } from '@holdfast/contract/errors';

/** How a share is reached: by the kernel's client, by our own, or by whichever can be used here. */
export type NfsMode = 'auto' | 'kernel' | 'direct';

/** The configuration of a backend of type `nfs`, as the API has it. */
export interface NfsConfig {
  /** Name or address. */
  server: string;
  /** The exported folder, absolute. */
  export_path: string;
  /** As of mount(8), separated by commas. `direct` heeds `vers`, `port` and `mountport`. Default `vers=4.1`. */
  mount_options?: string | undefined;
  mode?: NfsMode | undefined;
  /** Default 2049. */
  port?: number | undefined;
  /** The port to call from in mode `direct`, for servers that want a privileged one. */
  local_port?: number | undefined;
}

/** A configuration that was checked, with its defaults filled in. */
export interface NfsSettings {
  server: string;
  exportPath: string;
  /** Without those that say what the settings below say. */
  mountOptions: readonly string[];
  version: '4.1' | '3';
  /** The version as the kernel is to be asked for it. */
  kernelVersion: string;
  mode: NfsMode;
  port: number;
  localPort: number | undefined;
  mountPort: number | undefined;
}

const DEFAULT_PORT = 2049;
const versions: Record<string, '4.1' | '3'> = {
  '3': '3',
  '4': '4.1',
  '4.0': '4.1',
  '4.1': '4.1',
  '4.2': '4.1',
};

/** Refuses a configuration for one of its fields. @param message the rest of a sentence about the field */
export function refuseConfig(field: keyof NfsConfig, message: string, cause?: unknown): never {
  throw new HoldfastError('validation_failed', `The NFS share cannot be used as a backend: ${message}.`, {
    errors: [{ field: `config.${field}`, message }],
    cause,
  });
}

/** Checks what can be checked without the server. @throws HoldfastError `validation_failed` */
export function parseNfsConfig(config: NfsConfig): NfsSettings {
  const server = config.server.trim().replace(/^\[(.*)\]$/, '$1');
  // A leading dash would be an option to mount(8).
  if (!/^[\p{L}\p{N}_][\p{L}\p{N}._:%-]*$/u.test(server) && !/^::[\da-fA-F.:]*$/.test(server)) {
    refuseConfig('server', 'it must be a host name or an address, like nas.example.org or 192.0.2.7');
  }
  const options = (config.mount_options ?? 'vers=4.1').split(',').map((option) => option.trim());
  const mountOptions = options.filter((option) => option !== '');
  for (const option of mountOptions) {
    if (!/^[a-z][a-z0-9_]*(=[\w.:/@%+-]*)?$/i.test(option)) {
      refuseConfig(
        'mount_options',
        `"${option}" is no mount option; they are separated by commas, like vers=4.1,nconnect=4`,
      );
    }
  }
  const valueOf = (...names: string[]): string | undefined =>
    mountOptions.findLast((option) => names.includes(option.split('=')[0] ?? ''))?.split('=')[1];
  const kernelVersion = valueOf('vers', 'nfsvers') ?? '4.1';
  const version = versions[kernelVersion];
  if (version === undefined)
    refuseConfig('mount_options', `vers=${kernelVersion} is not supported; use 3, 4.1 or 4.2`);
  return {
    server,
    exportPath: parseExportPath(config.export_path),
    mountOptions: mountOptions.filter((option) => !/^(vers|nfsvers|port)=/.test(option)),
    version,
    kernelVersion,
    mode: config.mode ?? 'auto',
    port: parsePort('port', config.port ?? valueOf('port')) ?? DEFAULT_PORT,
    localPort: parsePort('local_port', config.local_port),
    mountPort: parsePort('mount_options', valueOf('mountport')),
  };
}

function parseExportPath(path: string): string {
  const isPlain =
    path.startsWith('/') &&
    !/[\0\n\r]/.test(path) &&
    !path.split('/').some((name) => name === '.' || name === '..');
  if (!isPlain) refuseConfig('export_path', 'it must be an absolute path on the server, like /srv/share');
  return path.replace(/(?<=.)\/+$/, '');
}

function parsePort(field: keyof NfsConfig, value: number | string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const port = Number(value);
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    refuseConfig(field, 'a port is a number from 1 to 65535');
  return port;
}
