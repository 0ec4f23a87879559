import type { Usage } from '../backend.ts';

export type NfsFileType = 'file' | 'directory' | 'symlink' | 'other';

/** What a server tells about a file or folder. */
export interface NfsAttributes {
  type: NfsFileType;
  /** Bytes. */
  size: number;
  /** The server's number of it, within its file system. */
  fileId: bigint;
  /** The server's name of that file system. */
  fileSystemId: string;
  /** A number that differs after every change: NFSv4's change attribute; with v3 the ctime in nanoseconds. */
  change: bigint;
  /** Nanoseconds since 1970. */
  mtimeNs: bigint;
}

export interface NfsNode {
  /** The server's name of it, which holds as long as it exists, across restarts. */
  handle: Buffer;
  attributes: NfsAttributes;
}

/** A name in a folder: text, or the raw bytes of one that is not UTF-8. */
export type NfsName = string | Uint8Array;

export interface NfsFolderEntry {
  /** The raw bytes of the name, which need not be UTF-8. */
  name: Buffer;
  attributes: NfsAttributes;
}

/** An open file. Its methods survive restarts of the server: they reopen and send again as it takes. */
export interface NfsFile extends AsyncDisposable {
  readonly handle: Buffer;
  /** The most bytes of one `read` and one `write`. */
  readonly maxReadBytes: number;
  readonly maxWriteBytes: number;
  /**
   * Reads at most `length` bytes; fewer at the end of the file, and when the server likes.
   * @param replyBuffer where the answer is put when it fits (`length` + REPLY_OVERHEAD_BYTES); the bytes are a view of it
   */
  read(offset: number, length: number, replyBuffer?: Buffer): Promise<Buffer>;
  /**
   * Writes bytes that are not durable until a `commit` answers with the same verifier.
   * @returns how many were taken, at least one
   */
  write(offset: number, bytes: Uint8Array): Promise<{ written: number; verifier: string }>;
  /** Makes what was written durable. @returns the verifier of the server's present life */
  commit(): Promise<string>;
  attributes(): Promise<NfsAttributes>;
  /** Sets the size in bytes, and the time of the last change to the server's clock; durable when it resolves. */
  resize(size: number): Promise<void>;
}

/** Bytes of a READ's answer besides the file's. */
export const REPLY_OVERHEAD_BYTES = 1024;

/**
 * An exported file tree, by whatever version of the protocol. Every method throws NfsFailure for a status of the
 * server, and HoldfastError `backend_unavailable` when it does not answer.
 */
export interface NfsFileSystem extends AsyncDisposable {
  readonly version: '4.1' | '3';
  /** The folder that is exported; looked up once. @throws NfsFailure NOENT, NOTDIR, ACCESS */
  root(): Promise<Buffer>;
  /** Looks it up anew next time, as another file system may be mounted there by now. */
  forgetRoot(): void;
  /**
   * Goes down from a folder by names, and no further than where a name is missing or is no folder.
   * @returns what the names mean, as far as it got; symlinks are not followed
   */
  walk(folder: Buffer, names: readonly NfsName[]): Promise<NfsNode[]>;
  attributes(handle: Buffer): Promise<NfsAttributes>;
  /** The raw text of a symlink. */
  readLink(handle: Buffer): Promise<Buffer>;
  /** What is in a folder, page by page, without `.` and `..`. */
  readFolder(handle: Buffer): AsyncIterable<NfsFolderEntry[]>;
  /** Opens a file for reading. */
  open(handle: Buffer): Promise<NfsFile>;
  /** Opens a file for writing and reading. */
  openToWrite(handle: Buffer): Promise<NfsFile>;
  /** Makes a file that must not exist, and opens it for writing and reading. */
  create(folder: Buffer, name: string): Promise<NfsFile>;
  makeFolder(folder: Buffer, name: string): Promise<NfsNode>;
  rename(fromFolder: Buffer, fromName: string, toFolder: Buffer, toName: string): Promise<void>;
  /** Gives a file a second name, which must be free. */
  link(file: Buffer, folder: Buffer, name: string): Promise<void>;
  remove(folder: Buffer, name: NfsName, kind: 'file' | 'directory'): Promise<void>;
  usage(handle: Buffer): Promise<Usage>;
}
