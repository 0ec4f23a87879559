import type { HubClient } from './client.ts';
import { sha256Of, sha256OfHex } from './digest.ts';
import { readSlice } from './upload-source.ts';
import type { UploadSource } from './upload-source.ts';

/** A chunk that is to be sent. Positions and sizes in bytes of the file. */
export interface OutgoingChunk {
  uploadId: string;
  num: number;
  position: number;
  length: number;
  /** Lower-case hex, when it is known. */
  sha256?: string | undefined;
  signal: AbortSignal;
  /** Milliseconds until the hub must have answered. */
  timeoutMs: number;
  /** Told bytes as they go to the network. */
  onMoved: (bytes: number) => void;
}

/** How chunks get to the hub. */
export interface ChunkSender {
  /**
   * Sends a chunk once, with its digest, for the hub to check; resolves when the hub has it.
   * @returns the SHA-256 of the chunk, lower-case hex
   * @throws HoldfastError what the hub answers; `unreachable`; `cancelled`; `conflict` when the file is shorter than it was
   */
  send(chunk: OutgoingChunk): Promise<string>;
}

/** Sends chunks by `fetch`, each whole in memory: what browsers can do. */
export function fetchChunkSender(client: HubClient, source: UploadSource): ChunkSender {
  return {
    async send({ uploadId, num, position, length, sha256, signal, timeoutMs }) {
      const body = await readSlice(source, position, position + length);
      const digest = sha256 === undefined ? await sha256Of(body) : sha256OfHex(sha256);
      await client.call('putChunk', {
        params: { upload_id: uploadId, chunk_num: String(num) },
        body,
        headers: { 'content-digest': `sha-256=:${digest.base64}:` },
        signal,
        retry: false,
        attemptTimeoutMs: timeoutMs,
      });
      return digest.hex;
    },
  };
}
