import { isHoldfastError } from '@holdfast/contract/errors';
import type { ErrorCode } from '@holdfast/contract/errors';
import { counted, printable } from '../output/format.ts';
import type { Output } from '../output/output.ts';
import { Progress } from '../output/progress.ts';
import type { Skipped, SyncAction } from './entry.ts';

/** Failures told one by one; the rest is counted. `--json` lists as many. */
const MOST_TOLD = 1000;

/** After these, the next file would fail in the same way: the sync stops, and goes on when it is run again. */
const endsAll: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'unauthenticated',
  'unreachable',
  'cancelled',
  'shutting_down',
  'backend_not_found',
  'backend_unavailable',
  'wrong_volume',
  'storage_full',
  'quota_exceeded',
]);

/** Whether a failure concerns one file only. */
export function isOfOneFile(error: unknown): boolean {
  return isHoldfastError(error) && !endsAll.has(error.code);
}

/** What a sync has done so far, shown while it goes on. */
export class Tally implements Disposable {
  transferred = 0;
  bytes = 0;
  touched = 0;
  removed = 0;
  unchanged = 0;
  skipped = 0;
  failedCount = 0;
  readonly failed: { path: string; code: string; detail: string }[] = [];
  readonly #output: Output;
  readonly #progress: Progress;
  readonly #started = performance.now();
  #total = { count: 0, bytes: 0 };
  #partial = 0;

  constructor(output: Output) {
    this.#output = output;
    this.#progress = new Progress(output);
  }

  /** What there is to transfer. */
  expect(total: { count: number; bytes: number }): void {
    this.#total = total;
  }

  /** How far the looking is. */
  looked(files: number): void {
    if (files % 100 !== 0) return;
    const label = `comparing, ${counted(files, 'file')} so far`;
    this.#progress.update({ label, bytes: 0, totalBytes: null, bytesPerSecond: 0, etaSeconds: null });
  }

  /** How far the one large file is. @param bytes of it */
  partly(bytes: number): void {
    this.#partial = bytes;
    this.#show();
  }

  /** A file that is now as it should be. */
  done({ kind, file }: SyncAction): void {
    this.#partial = 0;
    if (kind === 'remove') this.removed += 1;
    else if (kind === 'touch') this.touched += 1;
    else {
      this.transferred += 1;
      this.bytes += file.size;
    }
    this.#show();
  }

  /** A file that is not. */
  fail(path: string, error: unknown): void {
    this.#partial = 0;
    const detail = error instanceof Error ? error.message : String(error);
    this.#failure(path, isHoldfastError(error) ? error.code : 'internal', detail);
  }

  /** Something that was left out. */
  skip({ path, code, detail, isFailure }: Skipped): void {
    if (isFailure) {
      this.#failure(path, code, detail);
      return;
    }
    this.skipped += 1;
    this.say(`skipped: ${printable(path)}: ${detail}`);
  }

  /** A remark above the bar. */
  say(text: string): void {
    this.#progress.say(text);
  }

  [Symbol.dispose](): void {
    this.#progress[Symbol.dispose]();
  }

  #failure(path: string, code: string, detail: string): void {
    this.failedCount += 1;
    if (this.failed.length >= MOST_TOLD) return;
    this.failed.push({ path, code, detail });
    this.#progress.clear();
    if (this.#output.mode !== 'json') this.#output.warn(`${printable(path)}: ${printable(detail)}`);
  }

  #show(): void {
    const bytes = this.bytes + this.#partial;
    const bytesPerSecond = (bytes * 1000) / Math.max(1, performance.now() - this.#started);
    const files = this.transferred + this.touched;
    this.#progress.update({
      label: `${files} of ${counted(this.#total.count, 'file')}`,
      bytes,
      totalBytes: this.#total.bytes,
      bytesPerSecond,
      etaSeconds: bytesPerSecond === 0 ? null : Math.max(0, this.#total.bytes - bytes) / bytesPerSecond,
    });
  }
}
