import type { Upload } from '@holdfast/catalog/uploads';
import type { HoldfastError } from '@holdfast/contract/errors';
import type { Events } from '../events.ts';
import type { Metrics } from '../metrics.ts';
import type { Operations } from '../operations.ts';
import { ThrottledReports } from './throttled-reports.ts';

/** Tells what becomes of uploads: events, the operation log, metrics. */
export class UploadReports implements Disposable {
  readonly #events: Events;
  readonly #operations: Operations;
  readonly #metrics: Metrics;
  readonly #progress = new ThrottledReports();

  constructor(options: { events: Events; operations: Operations; metrics: Metrics }) {
    this.#events = options.events;
    this.#operations = options.operations;
    this.#metrics = options.metrics;
  }

  started(upload: Upload): void {
    this.#events.publish({ type: 'upload.started', ...eventFields(upload) });
  }

  /** Bytes that were acknowledged together, and how long that took; null when they came at the pace of the client alone. */
  chunk(bytes: number, milliseconds: number | null): void {
    this.#metrics.uploadedBytes.inc(bytes);
    if (milliseconds !== null) this.#metrics.chunkSeconds.observe(milliseconds / 1000);
  }

  progress(upload: Upload, receivedBytes: number, receivedPieces: number): void {
    const isInChunks = upload.protocol === 'chunks';
    this.#progress.report(upload.id, () =>
      this.#events.publish({
        type: 'upload.progress',
        ...eventFields(upload),
        received_bytes: receivedBytes,
        uploaded_chunks: isInChunks ? receivedPieces : 0,
        total_chunks: upload.totalChunks,
      }),
    );
  }

  /** @param upload that is completed */
  completed(upload: Upload): void {
    this.#progress.end(upload.id);
    const { fileId, sha256, deduplicated } = upload;
    if (sha256 === null) return;
    this.#events.publish({
      type: 'upload.completed',
      ...eventFields(upload),
      file_id: fileId,
      sha256,
      deduplicated: deduplicated === true,
    });
    this.#log(upload, { bytes: upload.size ?? 0, duplicate: deduplicated === true });
  }

  /** @param why it has ended without a file */
  failed(upload: Upload, why: HoldfastError): void {
    this.#progress.end(upload.id);
    const error = { code: why.code, message: why.message, retryable: why.retryable };
    this.#events.publish({ type: 'upload.failed', ...eventFields(upload), error });
    this.#log(upload, { bytes: upload.receivedBytes, error: why });
  }

  /** A file whose content needed no upload. */
  deduplicated(file: {
    actor: string;
    hostname: string;
    filepath: string;
    sha256: string;
    size: number;
    backendId: string;
  }): void {
    const { actor, backendId, filepath, hostname, sha256, size } = file;
    this.#operations.finish({ operation: 'upload', actor, backendId, file: filepath }, new Date(), {
      bytes: size,
      duplicate: true,
      details: { hostname, sha256 },
    });
  }

  [Symbol.dispose](): void {
    this.#progress[Symbol.dispose]();
  }

  #log(upload: Upload, end: { bytes: number; duplicate?: boolean; error?: HoldfastError }): void {
    const { id, actor, backendId, filepath, protocol, sha256, createdAt } = upload;
    const hostname = upload.destinationPath === null ? upload.hostname : null;
    this.#operations.finish({ operation: 'upload', actor, backendId, file: filepath }, createdAt, {
      ...end,
      details: { upload_id: id, hostname, protocol, sha256 },
    });
  }
}

function eventFields({ id, hostname, filepath, destinationPath, size, actor }: Upload): {
  upload_id: string;
  hostname: string | null;
  filepath: string | null;
  destination_path: string | null;
  file_size: number | null;
  actor: string;
} {
  return {
    upload_id: id,
    hostname: destinationPath === null ? hostname : null,
    filepath: destinationPath === null ? filepath : null,
    destination_path: destinationPath,
    file_size: size,
    actor,
  };
}
