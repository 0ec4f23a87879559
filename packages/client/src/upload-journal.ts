import { z } from 'zod';

/** What is remembered of an upload under way, so that it can be gone on with. */
export const journalEntry = z.object({
  upload_id: z.string(),
  size: z.int().min(0),
  chunk_size: z.int().min(1),
});
export type JournalEntry = z.output<typeof journalEntry>;

/** Where uploads under way are remembered. A key names a hub, a file as it is, and where it goes. */
export interface UploadJournal {
  get(key: string): Promise<JournalEntry | undefined>;
  put(key: string, entry: JournalEntry): Promise<void>;
  delete(key: string): Promise<void>;
}
