import type { AddressInfo } from 'node:net';
import type { HubConfig } from './config/config.ts';
import { takeDataDir } from './config/data-dir.ts';
import { loadSecrets } from './config/secrets.ts';
import { BackendMonitor } from './backends/monitor.ts';
import { createHub, type HubContext, type HubOverrides } from './context.ts';
import { resolve } from 'node:path';
import { Housekeeping } from './housekeeping.ts';

/** Running transfers get this long to end after SIGTERM, in milliseconds. */
const DRAIN_MS = 10_000;

/** A hub that listens. */
export interface RunningHub extends AsyncDisposable {
  readonly context: HubContext;
  readonly url: string;
  /** `host:port` of TFTP; null when it is off. */
  readonly tftp: string | null;
  /** Refuses new requests, lets running ones end (10 s at most), and closes. */
  stop(): Promise<void>;
}

/** Brings a hub up: data directory, catalog, backends with their sweep, background jobs, HTTP. */
export async function startHub(config: HubConfig, overrides: HubOverrides = {}): Promise<RunningHub> {
  await using cleanup = new AsyncDisposableStack();
  const dataDir = cleanup.use(takeDataDir(config.dataDir));
  const hub = cleanup.use(
    await createHub(config, loadSecrets(dataDir.path, config.secretKey), dataDir, overrides),
  );
  const { context } = hub;
  await context.backends.start();
  await makeDefaultBackend(context, dataDir.path);
  await context.operations.recover(
    (row) => context.backfill.resume(row) || context.vault.resumeVerification(row),
  );
  await context.uploads.sweep();
  await context.uploads.expire();
  await context.vault.sweep();
  cleanup.use(new BackendMonitor(context.backends, context.logger));
  cleanup.use(new Housekeeping(context));
  await context.app.listen({ host: config.host, port: config.port, backlog: 4096 });

  await context.tftp.start();
  const address = context.app.server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no TCP address');
  const url = `${config.tls === null ? 'http' : 'https'}://${urlHost(config.host, address)}:${address.port}`;
  context.logger.info({ url, database: context.catalog.dialect }, 'the hub is ready');
  const listening = context.tftp.address;
  const tftpAddress = listening === null ? null : `${listening.host}:${listening.port}`;
  const owned = cleanup.move();
  const close = (): Promise<void> => owned.disposeAsync();
  return {
    context,
    url,
    tftp: tftpAddress,
    stop: async () => {
      hub.drain();
      await Promise.all([drainConnections(context), context.tftp.drain()]);
      await close();
    },
    [Symbol.asyncDispose]: close,
  };
}

/** A first start gets a local backend that boots and takes in, so that everything works with no set-up. */
async function makeDefaultBackend(
  { backends, settings, catalog }: HubContext,
  dataDir: string,
): Promise<void> {
  if ((await catalog.meta.get('first_start_done')) !== null) return;
  if (backends.list().length === 0) {
    const { row } = await backends.create({
      name: 'default',
      type: 'local',
      config: { root: resolve(dataDir, 'files') },
      create: true,
    });
    await settings.update({ default_boot_backend_id: row.id, default_ingest_backend_id: row.id });
  }
  await catalog.meta.set('first_start_done', new Date().toISOString());
}

async function drainConnections({ app, logger }: HubContext): Promise<void> {
  const server = app.server;
  const closed = new Promise<void>((resolveClosed) => server.close(() => resolveClosed()));
  for (const client of app.websocketServer.clients) client.close(1001, 'the hub is shutting down');
  server.closeIdleConnections();
  const idle = setInterval(() => server.closeIdleConnections(), 100);
  const late = setTimeout(() => {
    logger.warn('some transfers did not end in time and are cut');
    server.closeAllConnections();
  }, DRAIN_MS);
  await closed;
  clearTimeout(late);
  clearInterval(idle);
}

/** A wildcard address cannot be connected to: say the loopback one instead. */
function urlHost(host: string, address: AddressInfo): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return address.family === 'IPv6' && host.includes(':') ? `[${host}]` : host;
}
