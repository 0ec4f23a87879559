import { endpoints } from '@holdfast/contract/endpoints';
import { uploadStatus } from '@holdfast/contract/uploads';
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';

/** The hub's Prometheus metrics, in a registry of their own so that several hubs can live in one process. */
export class Metrics {
  readonly registry = new Registry();

  readonly #requests = new Map<
    string,
    { labels: { method: string; route: string; status: number }; count: number }
  >();
  #bootFilesFromMemory = 0;
  #bytesFromMemory = 0;

  readonly requestSeconds = new Histogram({
    name: 'holdfast_http_request_seconds',
    help: 'Time from the request head to the end of the answer, in seconds.',
    labelNames: ['route'] as const,
    buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60, 600],
    registers: [this.registry],
  });
  readonly bytesStored = new Counter({
    name: 'holdfast_stored_bytes_total',
    help: 'File bytes stored durably on backends.',
    registers: [this.registry],
  });
  readonly hashedBytes = new Counter({
    name: 'holdfast_hashed_bytes_total',
    help: 'Bytes read back to compute or check a SHA-256.',
    registers: [this.registry],
  });
  readonly staleChecksums = new Counter({
    name: 'holdfast_stale_checksums_total',
    help: 'Checksum records found to be for bytes that have changed since.',
    registers: [this.registry],
  });
  readonly uploadedBytes = new Counter({
    name: 'holdfast_uploaded_bytes_total',
    help: 'Bytes of uploads that were acknowledged.',
    registers: [this.registry],
  });
  readonly chunkSeconds = new Histogram({
    name: 'holdfast_upload_chunk_seconds',
    help: 'Time from the turn of a chunk to its acknowledgement, in seconds.',
    buckets: [0.005, 0.02, 0.1, 0.5, 2, 10, 60, 600],
    registers: [this.registry],
  });
  readonly backendUp = new Gauge({
    name: 'holdfast_backend_up',
    help: '1 when the backend passed its last check.',
    labelNames: ['backend'] as const,
    registers: [this.registry],
  });

  constructor() {
    collectDefaultMetrics({ register: this.registry, prefix: 'holdfast_' });
    const requests = this.#requests;
    const fromMemory = (): number => this.#bootFilesFromMemory;
    const requestCounter = new Counter({
      name: 'holdfast_http_requests_total',
      help: 'HTTP requests answered, by route, method and status.',
      labelNames: ['method', 'route', 'status'],
      registers: [],
      collect() {
        this.reset();
        for (const { labels, count } of requests.values()) this.inc(labels, count);
        this.inc({ method: 'GET', route: endpoints.getBootFile.path, status: 200 }, fromMemory());
      },
    });
    this.registry.registerMetric(requestCounter);
  }

  /** Counts an answered request. Plain numbers until somebody asks: this runs for every small file. */
  countRequest(method: string, route: string, status: number): void {
    const key = `${status} ${method} ${route}`;
    const known = this.#requests.get(key);
    if (known === undefined) this.#requests.set(key, { labels: { method, route, status }, count: 1 });
    else known.count += 1;
  }

  /** Counts a boot file that was answered from memory. */
  countBootFile(bytes: number): void {
    this.#bootFilesFromMemory += 1;
    this.#bytesFromMemory += bytes;
  }

  /** Shows what the throttle counts, whenever somebody asks. */
  followTransfers(
    totals: () => Record<'http' | 'tftp', { bytes: number; waitingMs: number; active: number }>,
  ): void {
    const fromMemory = (): number => this.#bytesFromMemory;
    const sent = new Counter({
      name: 'holdfast_sent_bytes_total',
      help: 'File bytes that left the hub towards machines, by protocol.',
      labelNames: ['protocol'],
      registers: [],
      collect() {
        this.reset();
        const { http, tftp } = totals();
        this.inc({ protocol: 'http' }, http.bytes + fromMemory());
        this.inc({ protocol: 'tftp' }, tftp.bytes);
      },
    });
    const waited = new Counter({
      name: 'holdfast_transfer_waiting_seconds_total',
      help: 'Time that transfers waited for their turn, by protocol.',
      labelNames: ['protocol'],
      registers: [],
      collect() {
        this.reset();
        for (const [protocol, { waitingMs }] of Object.entries(totals()))
          this.inc({ protocol }, waitingMs / 1000);
      },
    });
    const active = new Gauge({
      name: 'holdfast_transfers_active',
      help: 'Transfers under way, by protocol.',
      labelNames: ['protocol'],
      registers: [],
      collect() {
        for (const [protocol, total] of Object.entries(totals())) this.set({ protocol }, total.active);
      },
    });
    for (const metric of [sent, waited, active]) this.registry.registerMetric(metric);
  }

  /** Shows what the uploads are like, whenever somebody asks. */
  followUploads(countByStatus: () => Promise<ReadonlyMap<string, number>>): void {
    const sessions = new Gauge({
      name: 'holdfast_upload_sessions',
      help: 'Upload sessions by status; those that have ended for a week.',
      labelNames: ['status'],
      registers: [],
      async collect() {
        const counts = await countByStatus();
        for (const status of uploadStatus.options) this.set({ status }, counts.get(status) ?? 0);
      },
    });
    this.registry.registerMetric(sessions);
  }

  /** Shows how many large bodies wait for their turn to be read, whenever somebody asks. */
  followBodies(countWaiting: () => number): void {
    const waiting = new Gauge({
      name: 'holdfast_http_bodies_waiting',
      help: 'Requests with a large body that wait for their turn.',
      registers: [],
      collect() {
        this.set(countWaiting());
      },
    });
    this.registry.registerMetric(waiting);
  }

  [Symbol.dispose](): void {
    this.registry.clear();
  }
}
