import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Access } from '../access/access.ts';
import type { Metrics } from '../metrics.ts';
import { requestIdOf } from '../request-id.ts';
import type { Settings } from '../settings.ts';
import type { Transfers } from '../transfers/transfers.ts';
import type { SmallDownloads } from './small-downloads.ts';
import { SmallFiles, type SmallFile } from './small-files.ts';

/** Headers that make an answer depend on more than the URL. */
const DECIDING_HEADERS = [
  'authorization',
  'range',
  'if-none-match',
  'if-modified-since',
  'if-match',
  'if-unmodified-since',
] as const;

/**
 * Answers a repeated GET of an unchanged small boot file before anything is routed: a rack that boots asks for the
 * same scripts and configuration files thousands of times. One `stat` proves that the file is unchanged.
 * Whatever is not that plain takes the ordinary way, which decides about everything else.
 */
export class FastLane {
  readonly #access: Access;
  readonly #settings: Settings;
  readonly #metrics: Metrics;
  readonly #downloads: SmallDownloads;
  readonly #transfers: Transfers;
  readonly #files = new SmallFiles();

  constructor(options: {
    access: Access;
    settings: Settings;
    metrics: Metrics;
    downloads: SmallDownloads;
    transfers: Transfers;
  }) {
    this.#access = options.access;
    this.#settings = options.settings;
    this.#metrics = options.metrics;
    this.#downloads = options.downloads;
    this.#transfers = options.transfers;
  }

  /** Keeps a file that was just served to an anonymous GET of `url`. */
  keep(url: string, file: SmallFile): void {
    this.#files.put(url, file);
  }

  /** @returns whether the request was answered */
  tryAnswer(request: IncomingMessage, response: ServerResponse): boolean {
    if (request.method !== 'GET' || request.url === undefined) return false;
    const file = this.#files.get(request.url);
    if (file === undefined) return false;
    const { headers } = request;
    for (const name of DECIDING_HEADERS) if (headers[name] !== undefined) return false;
    if (file.backendId !== this.#settings.current.default_boot_backend_id) return false;
    const client = request.socket.remoteAddress ?? '';
    if (this.#access.admitAnonymous('boot', undefined, client) === null) return false;
    if (!this.#transfers.tryTake(file.body.length)) return false; // the ordinary way waits for its turn
    file.headers[file.headers.length - 1] = requestIdOf(headers);
    response.writeHead(200, file.headers);
    response.end(file.body, 'latin1');
    this.#metrics.countBootFile(file.body.length);
    this.#downloads.note({
      actor: 'anonymous',
      client,
      backendId: file.backendId,
      path: file.path,
      bytes: file.body.length,
    });
    return true;
  }
}
