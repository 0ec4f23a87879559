import type { Catalog } from '@holdfast/catalog/catalog';
import type { Content } from '@holdfast/catalog/contents';
import { HoldfastError } from '@holdfast/contract/errors';
import type { CollectionReport } from '@holdfast/contract/host-files';
import { mapBounded } from '@holdfast/storage/concurrency/bounded';
import type { Settings } from '../settings.ts';
import type { ContentLocks } from './content-locks.ts';
import type { Leftovers } from './leftovers.ts';
import { deletedBefore } from './retention.ts';
import type { VaultBackends } from './vault-backends.ts';

/** Contents that are locked, marked and removed together: an upload of one of them waits for so many removals at most. */
const PAGE = 100;
/** Removals under way at once. */
const SIDE_BY_SIDE = 8;
/** Files whose versions are purged in one transaction. */
const PURGE_PAGE = 500;
/** The longest list of failures in a report. */
const MOST_LISTED = 1000;
/** A removal that another hub has not ended for this long is ended here, in milliseconds: that hub is gone. */
const ABANDONED_MS = 60 * 60 * 1000;

export interface CollectionRun {
  dryRun: boolean;
  signal: AbortSignal;
  /** Told now and then, with the report so far. */
  onProgress: (report: CollectionReport) => Promise<void>;
}

/**
 * Removes what nothing refers to: versions of files that were deleted longer ago than the retention, then contents without any
 * reference, then files in the vaults that no row knows. A content is marked in a transaction that looks at its references once
 * more, and its bytes are removed under its lock, so that an upload of the same content either comes before the mark (and keeps
 * it) or after the removal (and stores it anew).
 */
export class Collection {
  readonly #catalog: Catalog;
  readonly #backends: VaultBackends;
  readonly #locks: ContentLocks;
  readonly #leftovers: Leftovers;
  readonly #settings: Settings;
  readonly #hubId: string;
  /** Removals of other hubs that were seen under way: by SHA-256 and hub, since when. */
  readonly #seenElsewhere = new Map<string, number>();

  constructor(options: {
    catalog: Catalog;
    backends: VaultBackends;
    locks: ContentLocks;
    leftovers: Leftovers;
    settings: Settings;
    hubId: string;
  }) {
    this.#catalog = options.catalog;
    this.#backends = options.backends;
    this.#locks = options.locks;
    this.#leftovers = options.leftovers;
    this.#settings = options.settings;
    this.#hubId = options.hubId;
  }

  /** One collection; a dry run only counts, by the same rules. The report is filled in while it runs. */
  async run(report: CollectionReport, run: CollectionRun): Promise<void> {
    const before = deletedBefore(this.#settings);
    if (run.dryRun) await this.#count(report, before);
    else await this.#collect(report, before, run);
    for (const backend of this.#backends.list()) {
      const { found, bytes } = await this.#leftovers.clear(backend, run);
      report.orphans += found;
      report.orphan_bytes += bytes;
      await run.onProgress(report);
    }
  }

  /**
   * Ends the removals that were interrupted: this hub's, and those that another one seems to have left for ever.
   * @returns those that ended
   */
  async endInterrupted(report: CollectionReport): Promise<Content[]> {
    const ended: Content[] = [];
    for (const rows of pagesOf(await this.#interrupted())) {
      const sha256s = rows.map(({ sha256 }) => sha256);
      await using _held = await this.#locks.take(sha256s);
      // An upload may have taken one back before its lock came here.
      const now = await this.#catalog.contents.getMany(sha256s);
      const still = rows.filter(({ sha256, removingBy }) => {
        const row = now.get(sha256);
        return row?.state === 'removing' && row.removingBy === removingBy;
      });
      ended.push(...(await this.#removeMarked(still, report)));
    }
    return ended;
  }

  async #count(report: CollectionReport, before: Date): Promise<void> {
    const purgeable = await this.#catalog.hostFiles.purgeable(before);
    const unreferenced = await this.#catalog.contents.unreferencedTotal({ deletedBefore: before });
    const interrupted = await this.#interrupted();
    report.purged_files = purgeable.versions;
    report.removed_contents = unreferenced.contents + interrupted.length;
    report.removed_bytes = unreferenced.bytes + interrupted.reduce((sum, { size }) => sum + size, 0);
  }

  async #collect(report: CollectionReport, before: Date, run: CollectionRun): Promise<void> {
    for (let more = true; more;) {
      run.signal.throwIfAborted();
      const purged = await this.#catalog.hostFiles.purge(before, PURGE_PAGE);
      report.purged_files += purged.versions;
      more = purged.files >= PURGE_PAGE;
    }
    await run.onProgress(report);
    await this.endInterrupted(report);

    const unusable = new Map<string, HoldfastError>();
    let after: string | undefined;
    do {
      run.signal.throwIfAborted();
      const page = await this.#catalog.contents.unreferenced({
        limit: PAGE,
        ...(after === undefined ? {} : { after }),
      });
      await this.#removePage(page.contents, report, unusable);
      await run.onProgress(report);
      after = page.next;
    } while (after !== undefined);
  }

  async #removePage(
    contents: readonly Content[],
    report: CollectionReport,
    unusable: Map<string, HoldfastError>,
  ): Promise<void> {
    const usable: string[] = [];
    for (const { sha256, backendId } of contents) {
      const problem = unusable.get(backendId);
      if (problem === undefined) usable.push(sha256);
      else note(report, sha256, problem);
    }
    if (usable.length === 0) return;
    await using _held = await this.#locks.take(usable);
    const marked = await this.#catalog.contents.beginRemoval(usable, this.#hubId);
    await this.#removeMarked(marked, report, unusable);
  }

  /** Under their locks: removes the bytes and the rows of contents that are marked. One that fails is taken back. */
  async #removeMarked(
    marked: readonly Content[],
    report: CollectionReport,
    unusable = new Map<string, HoldfastError>(),
  ): Promise<Content[]> {
    const outcomes = await mapBounded(marked, SIDE_BY_SIDE, async (content) => {
      try {
        const known = unusable.get(content.backendId);
        if (known !== undefined) throw known;
        await this.#backends.keeping(content.backendId).contents.remove(content.sha256);
        return { content, problem: null };
      } catch (error) {
        if (!(error instanceof HoldfastError)) throw error;
        if (error.code === 'backend_unavailable') unusable.set(content.backendId, error);
        return { content, problem: error };
      }
    });
    const removed: Content[] = [];
    for (const { content, problem } of outcomes) {
      if (problem === null) {
        removed.push(content);
        continue;
      }
      note(report, content.sha256, problem);
      await this.#catalog.contents.revive(content.sha256, content.removingBy ?? this.#hubId);
    }
    const byHub = Map.groupBy(removed, ({ removingBy }) => removingBy ?? this.#hubId);
    for (const [hubId, rows] of byHub) {
      await this.#catalog.contents.finishRemoval(
        rows.map(({ sha256 }) => sha256),
        hubId,
      );
    }
    report.removed_contents += removed.length;
    report.removed_bytes += removed.reduce((sum, { size }) => sum + size, 0);
    return removed;
  }

  async #interrupted(): Promise<Content[]> {
    const now = Date.now();
    const rows = await this.#catalog.contents.removing();
    const seen = new Set<string>();
    const interrupted = rows.filter(({ sha256, removingBy }) => {
      if (removingBy === this.#hubId) return true;
      const key = `${sha256} ${removingBy ?? ''}`;
      seen.add(key);
      const since = this.#seenElsewhere.get(key) ?? now;
      this.#seenElsewhere.set(key, since);
      return now - since >= ABANDONED_MS;
    });
    for (const key of this.#seenElsewhere.keys()) if (!seen.has(key)) this.#seenElsewhere.delete(key);
    return interrupted;
  }
}

/** A report of a collection that has not begun. */
export function emptyReport(dryRun: boolean): CollectionReport {
  return {
    dry_run: dryRun,
    purged_files: 0,
    removed_contents: 0,
    removed_bytes: 0,
    orphans: 0,
    orphan_bytes: 0,
    failed: [],
  };
}

function note(report: CollectionReport, sha256: string, { code, message }: HoldfastError): void {
  if (report.failed.length < MOST_LISTED) report.failed.push({ sha256, code, detail: message });
}

function* pagesOf(rows: readonly Content[]): Generator<Content[]> {
  for (let start = 0; start < rows.length; start += PAGE) yield rows.slice(start, start + PAGE);
}
