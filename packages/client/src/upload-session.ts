import { chunkCount } from '@holdfast/bytes/chunk-plan';
import type { ChunkPlan } from '@holdfast/bytes/chunk-plan';
import { ChunkSet } from '@holdfast/bytes/chunk-set';
import type { Upload } from '@holdfast/contract/uploads';
import type { JournalEntry } from './upload-journal.ts';

/** An upload under way, as the client knows it. */
export interface Session {
  uploadId: string;
  plan: ChunkPlan;
  /** Chunks that the hub has. */
  received: ChunkSet;
  /** Of the whole, lower-case hex, when it is known. */
  sha256?: string | undefined;
}

/** A session that was begun earlier, when it can be gone on with: it is of the same chunks, and has neither failed nor ended. */
export function sessionAsFound(session: Upload, entry: JournalEntry): Session | undefined {
  if (session.file_size !== entry.size || session.chunk_size !== entry.chunk_size) return undefined;
  const plan = { size: entry.size, chunkSize: entry.chunk_size };
  const received = new ChunkSet(chunkCount(plan));
  const found = { uploadId: entry.upload_id, plan, received };
  switch (session.status) {
    case 'completed':
    case 'completing':
      // `complete` answers again what it answered; no chunk is needed for it.
      for (let num = 0; num < received.total; num += 1) received.add(num);
      return found;
    case 'initiated':
    case 'uploading':
      for (const [first, last] of session.received_chunks)
        for (let num = first; num <= last; num += 1) received.add(num);
      return found;
    default:
      return undefined;
  }
}
