import type { PacedStream, TransferOutcome, TransferView } from '@holdfast/bytes/pacing/transfer-view';
import { Throttle } from '@holdfast/bytes/pacing/throttle';
import { HoldfastError } from '@holdfast/contract/errors';
import type { Settings as HubSettings } from '@holdfast/contract/settings';
import type { Transfer } from '@holdfast/contract/transfers';
import type { Events } from '../events.ts';
import type { Operations } from '../operations.ts';
import type { Settings } from '../settings.ts';

/** What hangs on a transfer besides its bytes. */
interface TransferMeta {
  actor: string;
  backendId: string;
}
type View = TransferView<TransferMeta>;

export interface TransferRequest {
  client: string;
  actor: string;
  backendId: string;
  path: string;
  protocol: 'http' | 'tftp';
  /** Bytes of the whole file; null when unknown. */
  size: number | null;
}

/**
 * Everything that leaves the hub towards machines: paced by one throttle, followed by (client, path), logged as one
 * line of the operation log when it ends.
 */
export class Transfers implements Disposable {
  readonly #throttle: Throttle<TransferMeta>;
  readonly #settings: Settings;

  constructor({
    settings,
    events,
    operations,
  }: {
    settings: Settings;
    events: Events;
    operations: Operations;
  }) {
    this.#settings = settings;
    this.#throttle = new Throttle<TransferMeta>({
      settings: rates(settings.current),
      onStarted: (view) => events.publish({ type: 'transfer.started', transfer: transferView(view) }),
      onProgress: (view) => events.publish({ type: 'transfer.progress', transfer: transferView(view) }),
      onFinished: (view, { outcome, error }) => {
        events.publish({ type: 'transfer.finished', transfer: transferView(view), outcome });
        log(operations, view, { outcome, error });
      },
    });
    settings.follow((current) => this.#throttle.configure(rates(current)));
  }

  /** A paced stream to one client; close it when it ends. @throws HoldfastError `shutting_down` */
  open({ client, actor, backendId, path, protocol, size }: TransferRequest): PacedStream {
    // The same path of two backends is two files, and two keys behind one address are two clients of it.
    const key = `${backendId}\n${actor}\n${path}`;
    return this.#throttle.open({ client, path: key, protocol, size, meta: { actor, backendId } });
  }

  /** Whether so many bytes may leave at once, outside of any transfer; they then count against the budget. */
  tryTake(bytes: number): boolean {
    return this.#throttle.tryTake(bytes);
  }

  /** Whether more transfers are under way than a client that can come back should add to. */
  get isBusy(): boolean {
    const { http, tftp } = this.#throttle.totals();
    return http.active + tftp.active >= this.#settings.current.busy_above_transfers;
  }

  totals(): ReturnType<Throttle<TransferMeta>['totals']> {
    return this.#throttle.totals();
  }

  list(): Transfer[] {
    return this.#throttle.list().map(transferView);
  }

  /** @throws HoldfastError `transfer_not_found` */
  get(id: string): Transfer {
    const found = this.#throttle.list().find((view) => view.id === id);
    if (found === undefined)
      throw new HoldfastError('transfer_not_found', `There is no transfer with the id ${id}.`);
    return transferView(found);
  }

  end(id: string, actor: string): void {
    this.#throttle.end(id, `${actor} asked for it`);
  }

  [Symbol.dispose](): void {
    this.#throttle[Symbol.dispose]();
  }
}

function rates(settings: HubSettings): {
  budgetMbps: number;
  minTransferMbps: number;
  perClientMbps: number | null;
} {
  return {
    budgetMbps: settings.file_serving_bandwidth_mbps,
    minTransferMbps: settings.min_transfer_mbps,
    perClientMbps: settings.per_client_mbps,
  };
}

function transferView(view: View): Transfer {
  return {
    id: view.id,
    client: view.client,
    actor: view.meta.actor,
    backend_id: view.meta.backendId,
    path: pathOf(view),
    protocol: view.protocol,
    size: view.size,
    bytes: view.bytes,
    rate: Math.round(view.rate),
    priority: view.priority,
    share: Math.round(view.share),
    eta_seconds: view.etaSeconds,
    waiting_ms: Math.round(view.waitingMs),
    requests: view.requests,
    started_at: view.startedAt.toISOString(),
  };
}

function pathOf(view: View): string {
  return view.path.slice(view.meta.backendId.length + view.meta.actor.length + 2);
}

function log(operations: Operations, view: View, { outcome, error }: TransferOutcome): void {
  const { client, protocol, requests, aborted } = view;
  operations.finish(
    { operation: 'download', actor: view.meta.actor, backendId: view.meta.backendId, file: pathOf(view) },
    view.startedAt,
    {
      bytes: view.bytes,
      details: { client, protocol, requests, aborted, waiting_ms: Math.round(view.waitingMs) },
      // A client that goes away is no failure of the hub's: it is told in the details.
      ...(outcome === 'failed' ? { error: error ?? new Error('the transfer failed') } : {}),
    },
  );
}
