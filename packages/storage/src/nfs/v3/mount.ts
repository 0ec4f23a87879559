import { HoldfastError } from '@holdfast/contract/errors';
import { NfsFailure } from '../failure.ts';
import { RpcLink } from '../rpc/link.ts';
import type { LinkOptions } from '../rpc/link.ts';
import type { XdrReader } from '../xdr/reader.ts';
import { MAX_HANDLE_BYTES } from './structures.ts';

const PORTMAPPER = { program: 100000, version: 2, port: 111 } as const;
const GETPORT = 3;
const MOUNT = { program: 100005, version: 3 } as const;
const MNT = 1;
const TCP = 6;
const MAX_FLAVORS = 64;
const AUTH_SYS = 1;

export interface MountOptions extends LinkOptions {
  exportPath: string;
  /** The port of the MOUNT protocol. Default: asked of the portmapper, port 111. */
  mountPort?: number | undefined;
}

/** Asks the portmapper for the TCP port of a program (RFC 1833 §3.2). @returns undefined when it does not run */
async function portOf(
  options: MountOptions,
  program: { program: number; version: number },
): Promise<number | undefined> {
  await using link = new RpcLink({ ...options, port: PORTMAPPER.port, localPort: undefined });
  const { value } = await link.call(
    {
      program: PORTMAPPER.program,
      version: PORTMAPPER.version,
      procedure: GETPORT,
      write: (writer) => writer.u32(program.program).u32(program.version).u32(TCP).u32(0),
    },
    (reader) => {
      const port = reader.u32();
      reader.end();
      return port;
    },
  );
  return value >= 1 && value <= 65_535 ? value : undefined;
}

/**
 * Asks the MOUNT protocol for the handle of an export (RFC 1813 appendix I).
 * @throws NfsFailure with the status of MNT; HoldfastError `backend_unavailable`
 */
export async function mountExport(options: MountOptions): Promise<Buffer> {
  const port = options.mountPort ?? (await portOf(options, MOUNT));
  if (port === undefined) {
    const text =
      `The portmapper of ${options.server} knows no MOUNT service, which NFSv3 needs. Start it there, or name its port ` +
      'by mountport= in config.mount_options.';
    throw new HoldfastError('backend_unavailable', text);
  }
  await using link = new RpcLink({ ...options, port });
  const { value } = await link.call(
    { ...MOUNT, procedure: MNT, write: (writer) => writer.opaque(options.exportPath) },
    readMount,
  );
  if (value.status !== 0) throw new NfsFailure(value.status, 'MNT', false);
  if (value.flavors.length > 0 && !value.flavors.includes(AUTH_SYS)) {
    const text = `The server exports ${options.exportPath} with Kerberos only. Allow sec=sys for this machine there.`;
    throw new HoldfastError('backend_unavailable', text, { retryable: false });
  }
  return value.handle;
}

function readMount(reader: XdrReader): { status: number; handle: Buffer; flavors: number[] } {
  const status = reader.u32();
  if (status !== 0) return { status, handle: Buffer.alloc(0), flavors: [] };
  const handle = Buffer.from(reader.opaque(MAX_HANDLE_BYTES));
  const flavors = reader.list(MAX_FLAVORS, () => reader.u32());
  reader.end();
  return { status, handle, flavors };
}
