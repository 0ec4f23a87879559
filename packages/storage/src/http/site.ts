import { HoldfastError, isHoldfastError } from '@holdfast/contract/errors';
import { parseMarker } from '../volume/marker.ts';
import type { VolumeMarker } from '../volume/marker.ts';
import { AddressBook, MARKER, RESERVED, STAGING } from './address.ts';
import type { Segments } from './address.ts';
import type { HttpTarget, ListingMode } from './config.ts';
import { HttpConnection } from './connection.ts';
import { statusError } from './failure.ts';
import { RecentVersions } from './recent-versions.ts';
import { TreeLocks } from './tree-locks.ts';
import { derivedVolumeId } from './volume-id.ts';

const markerBytes = 16 * 1024;

/** Where a backend tells of a failure that did not harm the operation. pino's loggers are of this kind. */
export interface SiteLogger {
  warn(fields: Record<string, unknown>, message: string): void;
}

export interface SiteOptions {
  volumeId: string;
  ownerId: string;
  timeLimitMs: number;
  logger?: SiteLogger | undefined;
}

/** One web server as a backend sees it: the way there, the proof that it is the right one, and what was learned of it. */
export class Site implements AsyncDisposable {
  readonly target: HttpTarget;
  readonly connection: HttpConnection;
  readonly addresses: AddressBook;
  readonly ownerId: string;
  readonly logger: SiteLogger | undefined;
  readonly locks = new TreeLocks();
  readonly recent = new RecentVersions();
  /** How folders are listed; found out at the first listing when it was left to us. */
  listing: Exclude<ListingMode, 'auto'> | undefined;
  /** Whether what listings tell of a file gives the same validator as the headers of its own reply. */
  listingsAgree: boolean | undefined;
  /** Whether the server tells its quota (RFC 4331); known after the first look at the root. */
  tellsUsage = false;
  /** Sizes, and digests in place of validators, that had to be found by reading the whole file. */
  readonly measured = new Map<string, { size: number; validator: string }>();
  /** Folders of the vault that were made or found. */
  readonly vaultFolders = new Set<string>();
  readonly #volumeId: string;
  #staging: Promise<void> | undefined;

  constructor(target: HttpTarget, options: SiteOptions) {
    this.target = target;
    this.connection = new HttpConnection(target, options.timeLimitMs);
    this.addresses = new AddressBook(target.baseUrl);
    this.ownerId = options.ownerId;
    this.logger = options.logger;
    this.#volumeId = options.volumeId;
    this.listing = target.writable ? 'webdav' : target.listing === 'auto' ? undefined : target.listing;
  }

  /** The address without credentials, for messages. */
  get name(): string {
    return this.target.baseUrl.href;
  }

  /** Whether stat and listings go by PROPFIND. */
  get isWebdav(): boolean {
    return this.listing === 'webdav';
  }

  /**
   * The marker file, or undefined when there is none.
   * @throws HoldfastError `backend_unavailable` when it is damaged or cannot be read
   */
  async readMarker(signal?: AbortSignal): Promise<VolumeMarker | undefined> {
    const url = this.addresses.of(MARKER);
    const doing = `Reading the marker ${url.href}`;
    return this.connection.ask({ method: 'GET', url, doing, signal }, async (reply) => {
      // A server that hides names with a dot may say 403; for a writable one the first write tells the truth.
      if (reply.status === 404 || reply.status === 410) return undefined;
      if (reply.status === 403 && !this.target.writable) return undefined;
      if (reply.status !== 200) throw statusError(reply.status, doing);
      return parseMarker(await reply.text(markerBytes), url.href);
    });
  }

  /**
   * Checks that the server still has the volume of this backend.
   * @throws HoldfastError `backend_unavailable` when the marker is missing, `wrong_volume` for another one
   */
  async enter(signal?: AbortSignal): Promise<void> {
    // Read-only servers without a marker are known by their address alone.
    if (this.#volumeId === derivedVolumeId(this.target.baseUrl)) return;
    const marker = await this.#trustedMarker(signal);
    if (marker === undefined) {
      throw new HoldfastError(
        'backend_unavailable',
        `${this.name} has no marker file ${MARKER.join('/')}, so this is not the volume of this backend. ` +
          'Does the server have its disk? Nothing was written.',
      );
    }
    if (marker.volumeId === this.#volumeId) return;
    throw new HoldfastError(
      'wrong_volume',
      `Another volume is at ${this.name}: its marker says ${marker.volumeId}, this backend belongs to ` +
        `${this.#volumeId}. Check config.base_url, or set the backend up anew.`,
    );
  }

  /** Reads the marker again when it looks wrong: one damaged answer must not condemn the volume. */
  async #trustedMarker(signal: AbortSignal | undefined): Promise<VolumeMarker | undefined> {
    const marker = await this.readMarker(signal).catch((error: unknown) => {
      if (isHoldfastError(error, 'backend_unavailable') && !error.retryable) return undefined;
      throw error;
    });
    return marker?.volumeId === this.#volumeId ? marker : this.readMarker(signal);
  }

  /** The error for a path where nothing is: or is the volume gone? */
  async notFound(path: string, signal?: AbortSignal): Promise<HoldfastError> {
    await this.enter(signal);
    return new HoldfastError('file_not_found', `There is no file or folder at ${path}.`);
  }

  /** @throws HoldfastError `read_only` */
  requireWritable(doing: string): void {
    if (this.target.writable) return;
    const text = `${doing} was refused: this backend is set up as read-only. Set config.writable when the server takes WebDAV.`;
    throw new HoldfastError('read_only', text);
  }

  /** Makes the folder for unfinished files; once, until `forgetStaging`. */
  async ensureStaging(): Promise<void> {
    // Shared by all who wait for it, so that it does not end with the cancellation of one.
    this.#staging ??= this.#makeStaging();
    try {
      await this.#staging;
    } catch (error) {
      this.#staging = undefined;
      throw error;
    }
  }

  /** The staging folder may be gone: it is made again before the next write. */
  forgetStaging(): void {
    this.#staging = undefined;
  }

  async #makeStaging(): Promise<void> {
    await this.makeCollection(RESERVED);
    await this.makeCollection(STAGING);
  }

  /** Makes one folder whose parent is there. @returns false when something is at that address already */
  async makeCollection(segments: Segments, signal?: AbortSignal): Promise<boolean> {
    const doing = `Making the folder /${segments.join('/')}`;
    const url = this.addresses.of(segments, { asFolder: true });
    return this.connection.ask({ method: 'MKCOL', url, doing, signal }, async (reply) => {
      if (reply.isOk) return true;
      // RFC 4918 §9.3.1: 405 when the address is taken; Apache redirects where it is taken by a folder.
      if (reply.status === 405 && (await this.#isTaken(segments, signal))) return false;
      if (reply.status === 301) return false;
      throw statusError(reply.status, doing, 'write');
    });
  }

  /** Tells a taken name from a server that has no MKCOL: both answer 405. */
  async #isTaken(segments: Segments, signal: AbortSignal | undefined): Promise<boolean> {
    const url = this.addresses.of(segments, { asFolder: true });
    const doing = `Looking at /${segments.join('/')}`;
    const headers = { depth: '0' };
    return this.connection.ask(
      { method: 'PROPFIND', url, headers, doing, signal },
      async (reply) => reply.isOk,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.connection[Symbol.asyncDispose]();
  }
}
