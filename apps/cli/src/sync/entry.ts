/** What tells whether a local file is still the one that was seen. */
export interface FileStamp {
  ino: bigint;
  mtimeNs: bigint;
  ctimeNs: bigint;
}

/** A file on either side of a sync. */
export interface SyncFile {
  /** Below the root of its side, with forward slashes: `etc/hosts`. */
  path: string;
  /** Bytes. */
  size: number;
  /** Milliseconds since 1970; null when the side does not say when the content was changed. */
  mtimeMs: number | null;
  /** Permission bits; null when the side keeps none. */
  mode: number | null;
  /** Lower-case hex; null when it is not known yet. */
  sha256: string | null;
  /** Of a local file. */
  stamp: FileStamp | null;
}

/** `touch`: the bytes are right, time or permission bits are not. */
export type ActionKind = 'create' | 'replace' | 'touch' | 'remove';

/** The permission bits that travel. Set-id bits mean something only with the owner, which does not. */
export const MODE_BITS = 0o777;

/** One thing to do at the destination. */
export interface SyncAction {
  kind: ActionKind;
  /** As the source has it; for `remove` as the destination has it. */
  file: SyncFile;
}

/** What is left out of a sync, and why. */
export interface Skipped {
  path: string;
  code: string;
  detail: string;
  /** A failure makes the command end with 1; the rest is only said. */
  isFailure: boolean;
}
