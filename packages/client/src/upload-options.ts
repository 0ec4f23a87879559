import type { z } from 'zod';
import type { uploadInitiate } from '@holdfast/contract/uploads';
import type { ChunkSender } from './chunk-sender.ts';
import type { Waiting } from './patience.ts';
import type { UploadJournal } from './upload-journal.ts';
import type { UploadProgress } from './upload-progress.ts';

/** What an upload is begun with. */
export type Initiate = z.input<typeof uploadInitiate>;

/** Where a file goes. */
export type UploadDestination = Omit<
  Initiate,
  'sha256' | 'file_size' | 'chunk_size' | 'total_chunks' | 'mtime' | 'mode'
>;

export interface UploadOptions {
  to: UploadDestination;
  /** Of the whole, lower-case hex, when it is known already. */
  sha256?: string | undefined;
  mtime?: string | undefined;
  mode?: number | undefined;
  /** Finds an earlier upload of the same file, to go on with it. */
  journal?: UploadJournal | undefined;
  /** How chunks get to the hub. Default: by `fetch`. */
  sender?: ChunkSender | undefined;
  /** Chunks in flight at once, at most. Default: what the hub prefers. */
  parallel?: number | undefined;
  /** Milliseconds without any progress after which to give up. Default: 10 minutes. */
  patienceMs?: number | undefined;
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: UploadProgress) => void) | undefined;
  /** Told when the hub or the way to it is away, and the upload waits for it. */
  onWaiting?: ((waiting: Waiting) => void) | undefined;
}

/** A file that is at the hub, verified and durable. */
export interface UploadOutcome {
  /** Of the host file; null for a file at a path of a backend. */
  file_id: string | null;
  /** Lower-case hex. */
  sha256: string;
  file_size: number;
  /** True when the hub had these bytes already. */
  deduplicated: boolean;
}
