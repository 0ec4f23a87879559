import type { Logger } from 'pino';
import { z } from 'zod';
import { unlessCancelled } from '@holdfast/bytes/cancellation';
import { setRealTimer } from '@holdfast/bytes/pacing/alarm';
import type { Backend } from '@holdfast/catalog/backends';
import type { JsonObject } from '@holdfast/contract/json';
import type { Catalog } from '@holdfast/catalog/catalog';
import { HoldfastError } from '@holdfast/contract/errors';
import type { IscsiDiscovery } from '@holdfast/contract/luns';
import type { ProbeReport } from '@holdfast/storage/backend';
import type { Events } from '../events.ts';
import type { Metrics } from '../metrics.ts';
import type { Settings } from '../settings.ts';
import { mergeConfig, splitSecrets } from './config-fields.ts';
import { KeptBackend, type BackendStatus, type LiveBackend } from './live-backend.ts';
import { seal, unseal } from './seal.ts';
import { definitionOf, parseConfig, type Surroundings } from './types.ts';

export type { LiveBackend } from './live-backend.ts';

const openedSecrets = z.record(z.string(), z.string());

export interface BackendChange {
  name?: string | undefined;
  /** Merged into the configuration; a secret left out is kept, null clears a field. */
  config?: JsonObject | undefined;
}

/** Whoever plans the checks of the live storages. */
export interface BackendsFollower {
  /** A check that somebody asked for has ended; that of a new or changed backend, too. */
  asked: (id: string, isOk: boolean) => void;
  /** An operation has failed as if the backend were away. */
  doubted: (id: string) => void;
  /** A check that was given up has ended after all. */
  answeredLate: (id: string) => void;
  removed: (id: string) => void;
}

/** How long the start of the hub waits for storages that do not answer, in ms. */
const START_PATIENCE_MS = 30_000;

/** The live storages: made from their rows, checked, changed and taken away while the hub runs. */
export class Backends {
  readonly #catalog: Catalog;
  readonly #events: Events;
  readonly #metrics: Metrics;
  readonly #settings: Settings;
  readonly #logger: Logger;
  readonly #sealingKey: Buffer;
  readonly #surroundings: Surroundings;
  readonly #followers = new Set<BackendsFollower>();
  readonly #entries = new Map<string, KeptBackend>();

  constructor(options: {
    catalog: Catalog;
    events: Events;
    metrics: Metrics;
    settings: Settings;
    logger: Logger;
    sealingKey: Buffer;
    hubId: string;
    dataDir: string;
  }) {
    this.#catalog = options.catalog;
    this.#events = options.events;
    this.#metrics = options.metrics;
    this.#settings = options.settings;
    this.#logger = options.logger;
    this.#sealingKey = options.sealingKey;
    const { hubId, dataDir, logger } = options;
    this.#surroundings = { hubId, dataDir, logger };
  }

  /**
   * Brings every configured backend to life, checks it, and cleans up what an interrupted write left on it. One that
   * hangs does that behind the start of the hub.
   */
  async start(): Promise<void> {
    for (const row of await this.#catalog.backends.list())
      this.#entries.set(row.id, await this.#bringUp(row));
    const recovered = Promise.all([...this.#entries.values()].map((entry) => this.#recover(entry)));
    const waited = Promise.withResolvers<undefined>();
    const cancelTimer = setRealTimer(() => waited.resolve(undefined), START_PATIENCE_MS);
    await Promise.race([recovered, waited.promise]).finally(cancelTimer);
  }

  /** @returns a function that ends it */
  follow(follower: BackendsFollower): () => void {
    this.#followers.add(follower);
    return () => this.#followers.delete(follower);
  }

  list(): LiveBackend[] {
    return [...this.#entries.values()].toSorted(
      (a, b) => a.row.createdAt.getTime() - b.row.createdAt.getTime(),
    );
  }

  /** @throws HoldfastError `backend_not_found` */
  get(id: string): LiveBackend {
    return this.#entry(id);
  }

  find(id: string): LiveBackend | undefined {
    return this.#entries.get(id);
  }

  /** @throws HoldfastError `name_taken`, `conflict` (the volume is another backend's), `validation_failed` */
  async create(request: {
    name: string;
    type: Backend['type'];
    config: JsonObject;
    create?: boolean;
  }): Promise<LiveBackend> {
    const definition = definitionOf(request.type);
    if ((await this.#catalog.backends.getByName(request.name)) !== null) throw nameTaken(request.name);
    const { volumeId } = await definition.prepare(request.config, {
      ...this.#surroundings,
      create: request.create ?? false,
    });
    this.#refuseKnownVolume(volumeId, null);
    const { open, secrets } = splitSecrets(request.config, definition.secretFields);
    const id = crypto.randomUUID();
    const row = await this.#catalog.backends.insert({
      id,
      name: request.name,
      type: request.type,
      config: open,
      sealedSecrets: this.#sealSecrets(id, secrets),
      volumeId,
    });
    const entry = await this.#bringUp(row);
    this.#entries.set(row.id, entry);
    await this.#recover(entry);
    return entry;
  }

  /** @throws HoldfastError `backend_not_found`, `name_taken`, `wrong_volume`, `validation_failed` */
  async update(id: string, change: BackendChange): Promise<LiveBackend> {
    const entry = this.#entry(id);
    const definition = definitionOf(entry.row.type);
    const patch: Parameters<Catalog['backends']['update']>[1] = {};
    if (change.name !== undefined) patch.name = change.name;
    if (change.config !== undefined) {
      const merged = parseConfig(
        entry.row.type,
        mergeConfig({ ...entry.row.config, ...this.#openSecrets(entry.row) }, change.config),
      );
      const { volumeId } = await definition.prepare(merged, { ...this.#surroundings, create: false });
      if (volumeId !== entry.row.volumeId) {
        throw new HoldfastError(
          'wrong_volume',
          `The new configuration of "${entry.row.name}" leads to another volume. Move the volume's files (with its /.holdfast folder) there first, or add a new backend.`,
        );
      }
      const { open, secrets } = splitSecrets(merged, definition.secretFields);
      patch.config = open;
      patch.sealedSecrets = this.#sealSecrets(id, secrets);
    }
    const row = await this.#catalog.backends.update(id, patch);
    if (row === null) throw backendNotFound(id);
    if (row.name !== entry.row.name) this.#metrics.backendUp.remove({ backend: entry.row.name });
    if (change.config === undefined) {
      entry.renameTo(row);
      this.#metrics.backendUp.set({ backend: row.name }, entry.status === 'online' ? 1 : 0);
      return entry;
    }
    this.#entries.set(id, await this.#bringUp(row));
    await entry[Symbol.asyncDispose]();
    await this.check(id);
    return this.#entry(id);
  }

  /**
   * Forgets a backend; its files stay where they are. With `force` also what it keeps of the vault: those contents and the versions
   * of host files that refer to them go from the catalog with it.
   * @throws HoldfastError `backend_not_found`, `backend_in_use` (a default, or it keeps contents or uploads under way)
   */
  async remove(id: string, options: { force: boolean }): Promise<void> {
    const entry = this.#entry(id);
    const settings = this.#settings.current;
    const uses = (['default_boot_backend_id', 'default_ingest_backend_id'] as const).filter(
      (key) => settings[key] === id,
    );
    if (uses.length > 0 && !options.force) {
      const roles = uses
        .map((key) => (key === 'default_boot_backend_id' ? 'boot backend' : 'ingest backend'))
        .join(' and the ');
      throw new HoldfastError(
        'backend_in_use',
        `"${entry.row.name}" is the ${roles}. Set ${uses.join(' and ')} to another backend or null by PATCH /api/v1/system/settings first, or delete with ?force=true.`,
      );
    }
    if (uses.length > 0) await this.#settings.update(Object.fromEntries(uses.map((key) => [key, null])));
    await this.#catalog.backends.remove(id, { force: options.force });
    this.#entries.delete(id);
    this.#metrics.backendUp.remove({ backend: entry.row.name });
    for (const follower of this.#followers) follower.removed(id);
    await entry[Symbol.asyncDispose]();
  }

  /** The targets that an iSCSI server shows. @throws HoldfastError `validation_failed`, `backend_unavailable` */
  async discoverIscsi(
    access: IscsiDiscovery,
    signal: AbortSignal,
  ): Promise<{ target: string; portals: string[] }[]> {
    const { discoverIscsiTargets } = await import('@holdfast/storage/iscsi');
    const targets = await discoverIscsiTargets(access, { ownerId: this.#surroundings.hubId, signal });
    return targets.map(({ name, addresses }) => ({ target: name, portals: addresses }));
  }

  /**
   * Runs the backend's named checks because somebody wants to know, and keeps what they say as its status. They go on
   * when the caller has gone.
   * @throws HoldfastError `backend_not_found`, `cancelled`
   */
  async check(id: string, signal?: AbortSignal): Promise<ProbeReport> {
    const entry = this.#entry(id);
    return unlessCancelled(signal, `The check of "${entry.row.name}"`, async () => {
      const report = await entry.check({ isAskedFor: true });
      if (this.#entries.get(id) === entry) {
        for (const follower of this.#followers) follower.asked(id, report.ok);
      }
      return report;
    });
  }

  /**
   * Runs the backend's named checks as a matter of routine, or joins those under way.
   * @returns whether they passed
   * @throws HoldfastError `backend_not_found`
   */
  async checkInTurn(id: string): Promise<boolean> {
    return (await this.#entry(id).check({ isAskedFor: false })).ok;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#entries.values()].map((entry) => entry[Symbol.asyncDispose]()));
    this.#entries.clear();
  }

  #entry(id: string): KeptBackend {
    const entry = this.#entries.get(id);
    if (entry === undefined) throw backendNotFound(id);
    return entry;
  }

  async #bringUp(row: Backend): Promise<KeptBackend> {
    const storage = await definitionOf(row.type).open({
      ...this.#surroundings,
      config: { ...row.config, ...this.#openSecrets(row) },
      volumeId: row.volumeId ?? '',
    });
    return new KeptBackend({
      row,
      storage,
      logger: this.#logger,
      setTimer: setRealTimer,
      onChecked: (backend, before) => this.#tellChecked(backend, before),
      onDoubt: (backend) => this.#tell(backend, 'doubted'),
      onLateAnswer: (backend) => this.#tell(backend, 'answeredLate'),
    });
  }

  async #recover(entry: KeptBackend): Promise<void> {
    await this.check(entry.row.id);
    await entry.swept();
  }

  #tellChecked(backend: KeptBackend, before: BackendStatus): void {
    const { row, status, statusMessage } = backend;
    if (this.#entries.get(row.id) !== backend) return;
    this.#metrics.backendUp.set({ backend: row.name }, status === 'online' ? 1 : 0);
    if (status === before) return;
    this.#events.publish({
      type: 'backend.status',
      backend_id: row.id,
      name: row.name,
      status,
      status_message: statusMessage,
    });
  }

  #tell(backend: KeptBackend, what: 'doubted' | 'answeredLate'): void {
    const { id } = backend.row;
    if (this.#entries.get(id) !== backend) return;
    for (const follower of this.#followers) follower[what](id);
  }

  #refuseKnownVolume(volumeId: string, except: string | null): void {
    for (const { row } of this.#entries.values()) {
      if (row.volumeId === volumeId && row.id !== except) {
        throw new HoldfastError('conflict', `This volume already belongs to the backend "${row.name}".`, {
          errors: [{ field: 'config', message: `the same volume as "${row.name}"` }],
        });
      }
    }
  }

  #sealSecrets(id: string, secrets: Record<string, string>): string | null {
    return Object.keys(secrets).length === 0
      ? null
      : seal(this.#sealingKey, `backend:${id}`, JSON.stringify(secrets));
  }

  #openSecrets(row: Backend): Record<string, string> {
    if (row.sealedSecrets === null) return {};
    return openedSecrets.parse(JSON.parse(unseal(this.#sealingKey, `backend:${row.id}`, row.sealedSecrets)));
  }
}

function backendNotFound(id: string): HoldfastError {
  return new HoldfastError('backend_not_found', `There is no backend with the id ${id}.`);
}

function nameTaken(name: string): HoldfastError {
  return new HoldfastError('name_taken', `There is already a backend named "${name}".`, {
    errors: [{ field: 'name', message: 'is taken' }],
  });
}
