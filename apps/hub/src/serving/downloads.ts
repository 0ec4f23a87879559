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
  aborted: number;
  error: unknown;
}

export interface DownloadNote {
  actor: string;
  client: string;
  backendId: string;
  path: string;
  bytes: number;
  /** The client went away before the end. */
  aborted?: boolean;
  /** The hub could not go on. */
  error?: unknown;
}

/**
 * Turns requests into lines of the operation log. A machine that boots an ISO sends thousands of range requests:
 * keyed by (client, path), they become one line.
 */
export class Downloads implements Disposable {
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
        aborted: 0,
        error: undefined,
      };
      this.#followed.set(key, download);
    }
    download.lastAt = Date.now();
    download.bytes += note.bytes;
    download.requests += 1;
    if (note.aborted === true) download.aborted += 1;
    download.error = note.error;
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
    const { client, requests, aborted, bytes, error } = download;
    this.#operations.finish(
      { operation: 'download', actor: download.actor, backendId: download.backendId, file: download.path },
      download.startedAt,
      { bytes, details: { client, requests, aborted }, ...(error === undefined ? {} : { error }) },
    );
  }
}
