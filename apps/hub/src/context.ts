import type { FastifyInstance } from 'fastify';
import { pino, type Logger } from 'pino';
import { openCatalog, type Catalog } from '@holdfast/catalog/catalog';
import { HashPool } from '@holdfast/bytes/hash-pool';
import { HoldfastError } from '@holdfast/contract/errors';
import { Access } from './access/access.ts';
import { Backends } from './backends/backends.ts';
import type { HubConfig } from './config/config.ts';
import type { DataDir } from './config/data-dir.ts';
import type { HubSecrets } from './config/secrets.ts';
import { Events } from './events.ts';
import { HostFiles } from './host-files/host-files.ts';
import { BodyTurns } from './http/body-turns.ts';
import { ParkedBytes } from './http/parked-bytes.ts';
import { createHttpServer } from './http/http.ts';
import { Jobs } from './jobs/jobs.ts';
import { Backfill } from './library/backfill.ts';
import { Checksums } from './library/checksums.ts';
import { Library } from './library/library.ts';
import { Verification } from './library/verify.ts';
import { Metrics } from './metrics.ts';
import { Netboot } from './netboot/netboot.ts';
import { BootLuns } from './netboot/boot-luns.ts';
import { localAddressFor } from './netboot/server-for.ts';
import { TftpFiles } from './netboot/tftp.ts';
import { TftpListener } from './netboot/tftp-listener.ts';
import { Operations } from './operations.ts';
import { FastLane } from './serving/fast-lane.ts';
import { SmallDownloads } from './serving/small-downloads.ts';
import { Serving } from './serving/serving.ts';
import { Settings } from './settings.ts';
import { Transfers } from './transfers/transfers.ts';
import { Uploads } from './uploads/uploads.ts';
import { Vault } from './vault/vault.ts';
import { registerRoutes } from './routes/routes.ts';

/** Everything a running hub is made of. */
export interface HubContext {
  readonly config: HubConfig;
  readonly logger: Logger;
  readonly catalog: Catalog;
  readonly access: Access;
  readonly events: Events;
  readonly operations: Operations;
  readonly metrics: Metrics;
  readonly settings: Settings;
  readonly backends: Backends;
  readonly library: Library;
  readonly verification: Verification;
  readonly backfill: Backfill;
  readonly vault: Vault;
  readonly hostFiles: HostFiles;
  readonly uploads: Uploads;
  readonly serving: Serving;
  readonly netboot: Netboot;
  readonly transfers: Transfers;
  readonly tftp: TftpListener;
  readonly bootLuns: BootLuns;
  readonly jobs: Jobs;
  readonly app: FastifyInstance;
  /** The administrator's key that was made at this start, to be shown once. */
  readonly generatedAdminKey: string | null;
  readonly isDraining: () => boolean;
}

/** A hub that is built and not yet listening; disposing takes it apart in reverse order. */
export interface Hub extends AsyncDisposable {
  readonly context: HubContext;
  /** Refuses new requests from now on. */
  drain(): void;
}

export interface HubOverrides {
  logger?: Logger;
}

/** Builds a hub from its configuration: the composition root, and the only place that knows all parts. */
export async function createHub(
  config: HubConfig,
  secrets: HubSecrets,
  dataDir: DataDir,
  overrides: HubOverrides = {},
): Promise<Hub> {
  await using cleanup = new AsyncDisposableStack();
  const logger = overrides.logger ?? createLogger(config.logLevel);
  let draining = false;
  const isDraining = (): boolean => draining;

  const metrics = cleanup.use(new Metrics());
  const catalog = cleanup.use(
    await openCatalog({
      url: config.databaseUrl,
      logger: { info: (m) => logger.info(m), warn: (m) => logger.warn(m) },
    }),
  );
  await requireSealingKey(catalog, secrets);

  const events = new Events({
    onListenerError: (error) => logger.error({ err: error }, 'an event listener failed'),
  });
  const operations = cleanup.use(
    new Operations({
      catalog,
      events,
      hubId: dataDir.hubId,
      onError: (error, lost) => logger.error({ err: error, lost }, 'the operation log could not be written'),
    }),
  );
  const settings = await Settings.load(catalog, events);
  const access = new Access({ catalog });
  settings.follow((current) => access.setAnonymousNetworks(current.anonymous_boot_networks));
  const generatedAdminKey = await access.ensureAdministrator(config.adminKey);

  const backends = cleanup.use(
    new Backends({
      catalog,
      events,
      metrics,
      settings,
      logger,
      sealingKey: secrets.sealingKey,
      hubId: dataDir.hubId,
      dataDir: dataDir.path,
    }),
  );
  const pool = cleanup.use(new HashPool());
  const checksums = new Checksums({ catalog, pool, metrics });
  const jobs = cleanup.use(new Jobs((name, error) => logger.warn({ err: error }, `${name} failed`)));
  const library = new Library({ catalog, backends, checksums, events, operations, metrics, jobs });
  const verification = new Verification({ backends, checksums, operations, jobs });
  const backfill = new Backfill({ backends, checksums, operations, jobs });
  const transfers = cleanup.use(new Transfers({ settings, events, operations }));
  metrics.followTransfers(() => transfers.totals());
  const downloads = cleanup.use(new SmallDownloads(operations));
  const fastLane = new FastLane({ access, settings, metrics, downloads, transfers });
  const vault = new Vault({
    catalog,
    backends,
    settings,
    operations,
    events,
    jobs,
    pool,
    logger,
    hubId: dataDir.hubId,
  });
  const hostFiles = new HostFiles({ catalog, vault, backends, operations });
  const uploads = cleanup.use(
    new Uploads({
      catalog,
      backends,
      vault,
      hostFiles,
      library,
      settings,
      events,
      operations,
      metrics,
      logger,
      hubId: dataDir.hubId,
    }),
  );
  const serving = new Serving({ library, backends, vault, transfers, logger, fastLane });
  const netboot = new Netboot({ catalog, settings, library, events });
  const bootLuns = new BootLuns({ catalog, library, operations, jobs, hubId: dataDir.hubId });
  let httpPort = config.port;
  const serverFor = (client: string): string =>
    config.publicUrl ?? `${config.tls === null ? 'http' : 'https'}://${localAddressFor(client)}:${httpPort}`;
  const tftpFiles = new TftpFiles({ access, library, netboot, settings, transfers, serverFor });
  const tftp = cleanup.use(new TftpListener({ files: tftpFiles, logger, listen: config.tftp }));

  const bodyTurns = new BodyTurns({ parking: cleanup.use(new ParkedBytes(dataDir.path)) });
  metrics.followBodies(() => bodyTurns.waiting);
  const app = createHttpServer({
    access,
    bodyTurns,
    logger,
    tls: config.tls,
    answerFirst: (request, response) => fastLane.tryAnswer(request, response),
    isDraining,
  });
  cleanup.defer(() => app.close());
  const context: HubContext = {
    config,
    logger,
    catalog,
    access,
    events,
    operations,
    metrics,
    settings,
    backends,
    library,
    verification,
    backfill,
    vault,
    hostFiles,
    uploads,
    serving,
    netboot,
    transfers,
    tftp,
    bootLuns,
    jobs,
    app,
    generatedAdminKey,
    isDraining,
  };
  await registerRoutes(app, context);

  app.addHook('onListen', async () => {
    const address = app.server.address();
    if (typeof address === 'object' && address !== null) httpPort = address.port;
  });

  const owned = cleanup.move();
  return {
    context,
    drain: () => {
      draining = true;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Structured logs on standard error; credentials are never among what is logged, and redacted all the same. */
function createLogger(level: HubConfig['logLevel']): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: {
        paths: ['*.authorization', '*.token', '*.password', '*.secret', 'req.headers.authorization'],
        censor: '[redacted]',
      },
    },
    pino.destination({ fd: 2, sync: false }),
  );
}

/** Backend secrets are sealed with one key: starting with another one would make them unreadable later. */
async function requireSealingKey(catalog: Catalog, secrets: HubSecrets): Promise<void> {
  const known = await catalog.meta.getOrSet('sealing_key_check', () => secrets.sealingKeyCheck);
  if (known === secrets.sealingKeyCheck) return;
  throw new HoldfastError(
    'validation_failed',
    'HOLDFAST_SECRET_KEY (or secret.key in the data directory) is not the key that this catalog was set up with. Restore that key; without it the stored backend secrets cannot be opened.',
  );
}
