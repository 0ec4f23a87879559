/** What the thread is told, and what it answers; answers come in any order. */
export interface BatchCall {
  id: number;
  job: BatchJob;
}

export interface BatchReturn {
  id: number;
  outcomes: BatchOutcome[];
}

/** Contents that are stored together. Folders are paths that hold while the job is under way. */
export interface BatchJob {
  /** The folder for unfinished files, and the vault. */
  staging: string;
  vault: string;
  contents: { sha256: string; bytes: number; tempName: string }[];
  /** All their bytes, one after the other. */
  packed: Uint8Array<ArrayBuffer>;
  /** Whether one sync of the whole file system may stand for those of many files. */
  mayBarrier: boolean;
}

/** For each content, in order. */
export type BatchOutcome =
  | { kind: 'stored' }
  /** It was there. */
  | { kind: 'present' }
  /** The bytes have this digest instead. */
  | { kind: 'mismatch'; sha256: string }
  | { kind: 'failed'; code: string | undefined; message: string };
