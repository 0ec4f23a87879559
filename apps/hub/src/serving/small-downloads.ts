import type { Operations } from '../operations.ts';

/** A client's requests for one file count as one download until they pause for this long, in milliseconds. */
const IDLE_MS = 5_000;
/** Downloads followed at once; beyond that the longest idle ones are logged early. */
const MOST_FOLLOWED = 20_000;

interface Download {
  actor: string;
  client: string;
  backendId: string;
  path: string;
  startedAt: Date;
  lastAt: number;
  bytes: number;
  requests: number;
}

interface DownloadNote {
  actor: string;
  client: string;
  backendId: string;
  path: string;
  bytes: number;
}

/**
 * Small files that were answered from memory, as lines of the operation log: the requests of a client for a file are
 * one line, until they pause. Following each as a transfer would cost more than answering it.
 */
export class SmallDownloads implements Disposable {
  readonly #operations: Operations;
  readonly #followed = new Map<string, Download>();
  readonly #timer: NodeJS.Timeout;

  constructor(operations: Operations) {
    this.#operations = operations;
    this.#timer = setInterval(() => this.#logIdle(Date.now() - IDLE_MS), 1_000).unref();
  }

  note(note: DownloadNote): void {
    const key = `${note.client}\n${note.backendId}\n${note.path}`;
    let download = this.#followed.get(key);
    if (download === undefined) {
      if (this.#followed.size >= MOST_FOLLOWED) this.#logOldest();
      download = {
        actor: note.actor,
        client: note.client,
        backendId: note.backendId,
        path: note.path,
        startedAt: new Date(),
        lastAt: 0,
        bytes: 0,
        requests: 0,
      };
      this.#followed.set(key, download);
    }
    download.lastAt = Date.now();
    download.bytes += note.bytes;
    download.requests += 1;
  }

  /** Logs what is still being followed. */
  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#logIdle(Number.POSITIVE_INFINITY);
  }

  #logIdle(before: number): void {
    for (const [key, download] of this.#followed) {
      if (download.lastAt <= before) this.#log(key, download);
    }
  }

  #logOldest(): void {
    const oldest = this.#followed.entries().next().value;
    if (oldest !== undefined) this.#log(...oldest);
  }

  #log(key: string, download: Download): void {
    this.#followed.delete(key);
    const { client, requests, bytes } = download;
    this.#operations.finish(
      { operation: 'download', actor: download.actor, backendId: download.backendId, file: download.path },
      download.startedAt,
      { bytes, details: { client, protocol: 'http', requests, aborted: 0, waiting_ms: 0 } },
    );
  }
}
