import { RESERVED_FOLDER } from '@holdfast/bytes/backend-path';
import { HoldfastError } from '@holdfast/contract/errors';
import { PathLocks } from '../../concurrency/path-locks.ts';
import { MARKER_PATH, parseMarker } from '../../volume/marker.ts';
import { STAGING_FOLDER } from '../../volume/staging-slot.ts';
import type { Connector } from '../connector.ts';
import { isFailure, nfsError } from '../failure.ts';
import type { NfsFileSystem, NfsNode } from '../file-system.ts';
import { nfsStatus, statusName } from '../status.ts';
import { readSmallFile } from './small-file.ts';

const MARKER_NAME = MARKER_PATH.slice(RESERVED_FOLDER.length + 1);
/** Names from the root down to it. */
const MARKER_DEPTH = 2;
const MAX_MARKER_BYTES = 64 * 1024;

/** A connected share: the tree below `root` is the backend. */
export interface OpenShare {
  fs: NfsFileSystem;
  root: Buffer;
}

/** A share whose marker was found right. */
export interface EnteredShare extends OpenShare {
  /** The folder of the reserved area. */
  reserved: Buffer;
}

/** An exported tree and the proof that it is the right one. */
export class Share {
  readonly ownerId: string;
  readonly locks = new PathLocks();
  readonly connector: Connector;
  readonly #volumeId: string;
  /** Identity of the marker file when its content was last read and found right. */
  #verifiedMarker: string | undefined;

  constructor(connector: Connector, options: { volumeId: string; ownerId: string }) {
    this.connector = connector;
    this.#volumeId = options.volumeId;
    this.ownerId = options.ownerId;
  }

  /** How the share is called in messages. */
  get label(): string {
    const { server, exportPath } = this.connector.options;
    return `${server}:${exportPath}`;
  }

  /** The share as it is, without a look at its marker. @throws HoldfastError `backend_unavailable` */
  async open(): Promise<OpenShare> {
    try {
      const fs = await this.connector.fileSystem();
      return { fs, root: await fs.root() };
    } catch (error) {
      throw this.#exportProblem(error);
    }
  }

  /**
   * Opens the share and checks its marker.
   * @throws HoldfastError `backend_unavailable` when export or marker are missing, `wrong_volume` for another volume
   */
  async enter(): Promise<EnteredShare> {
    const found = await this.#findMarker();
    // Before it counts as missing it is looked for again: a name may have been changed on its way.
    const { share, nodes } = found.nodes.length === MARKER_DEPTH ? found : await this.#findMarker();
    const [reserved, marker] = nodes;
    if (reserved === undefined || marker?.attributes.type !== 'file') {
      throw new HoldfastError(
        'backend_unavailable',
        `${this.label} has no marker file ${MARKER_PATH}, so this is not the volume of this backend. ` +
          'Is the right file system mounted on the server? Nothing was written.',
      );
    }
    await this.#checkMarker(share.fs, marker);
    return { ...share, reserved: reserved.handle };
  }

  /** The folder for unfinished files; it is made again when somebody removed it. */
  async openStaging(entered: EnteredShare): Promise<Buffer> {
    return this.openReserved(entered, STAGING_FOLDER);
  }

  /** A folder of the reserved area, or a folder in that one; it is made when it is missing. */
  async openReserved({ fs, reserved }: EnteredShare, ...names: string[]): Promise<Buffer> {
    try {
      let folder = reserved;
      for (const name of names) folder = (await openOrMake(fs, folder, name)).handle;
      return folder;
    } catch (error) {
      throw nfsError(error, `Opening the folder ${RESERVED_FOLDER}/${names.join('/')} of ${this.label}`);
    }
  }

  async #findMarker(): Promise<{ share: OpenShare; nodes: NfsNode[] }> {
    const find = async (): Promise<{ share: OpenShare; nodes: NfsNode[] }> => {
      const share = await this.open();
      return { share, nodes: await share.fs.walk(share.root, [RESERVED_FOLDER, MARKER_NAME]) };
    };
    try {
      return await find().catch((error: unknown) => {
        if (!isFailure(error, nfsStatus.STALE, nfsStatus.BADHANDLE, nfsStatus.FHEXPIRED)) throw error;
        // Another file system is mounted there on the server by now: judge by that one.
        return this.#forgetRoot().then(find);
      });
    } catch (error) {
      throw nfsError(error, `Looking at the marker of ${this.label}`, 'read');
    }
  }

  async #forgetRoot(): Promise<void> {
    (await this.connector.fileSystem()).forgetRoot();
  }

  async #checkMarker(fs: NfsFileSystem, marker: NfsNode): Promise<void> {
    const { fileId, fileSystemId, change, size } = marker.attributes;
    const seen = `${fileSystemId}-${fileId}-${change}-${size}`;
    if (seen === this.#verifiedMarker) return;
    const look = async (): Promise<void> => {
      const text = await this.#readMarker(fs, marker);
      const { volumeId } = parseMarker(text, `${this.label}/${MARKER_PATH}`);
      if (volumeId === this.#volumeId) return;
      throw new HoldfastError(
        'wrong_volume',
        `Another volume is exported at ${this.label}: its marker says ${volumeId}, this backend belongs to ` +
          `${this.#volumeId}. Export the right file system there, or set the backend up anew.`,
      );
    };
    // A second look before it is believed: a byte of the first may have been changed on its way.
    await look().catch(look);
    this.#verifiedMarker = seen;
  }

  async #readMarker(fs: NfsFileSystem, marker: NfsNode): Promise<string> {
    try {
      return (await readSmallFile(fs, marker.handle, MAX_MARKER_BYTES)).toString();
    } catch (error) {
      throw nfsError(error, `Reading the marker of ${this.label}`, 'read');
    }
  }

  #exportProblem(error: unknown): HoldfastError {
    if (!isFailure(error, nfsStatus.NOENT, nfsStatus.NOTDIR, nfsStatus.ACCESS, nfsStatus.PERM)) {
      return nfsError(error, `Opening ${this.label}`, 'read');
    }
    return new HoldfastError(
      'backend_unavailable',
      `${this.label} cannot be opened: ${exportAdvice(error.status)}.`,
      {
        cause: error,
        retryable: error.status === nfsStatus.NOENT,
      },
    );
  }
}

async function openOrMake(fs: NfsFileSystem, parent: Buffer, name: string): Promise<NfsNode> {
  const [existing] = await fs.walk(parent, [name]);
  if (existing !== undefined) return existing;
  try {
    return await fs.makeFolder(parent, name);
  } catch (error) {
    const [made] = isFailure(error, nfsStatus.EXIST) ? await fs.walk(parent, [name]) : [];
    if (made === undefined) throw error;
    return made;
  }
}

const privilegedPort =
  'a server that asks for a privileged port needs config.local_port (below 1024), or the export option "insecure"';

/** What to do about an export that the server does not give, as the rest of a sentence. */
export function exportAdvice(status: number): string {
  const name = statusName(status);
  if (status === nfsStatus.NOENT || status === nfsStatus.NOTDIR) {
    return `the server exports no such folder to this machine (${name}). Check config.export_path and the server's list of exports; ${privilegedPort}`;
  }
  return `the server refuses this machine or user (${name}). Check the export's client list and squash; ${privilegedPort}`;
}
