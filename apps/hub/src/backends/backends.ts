import type { Logger } from 'pino';
import { z } from 'zod';
import type { Backend } from '@holdfast/catalog/backends';
import type { JsonObject } from '@holdfast/contract/json';
import type { Catalog } from '@holdfast/catalog/catalog';
import { HoldfastError, isHoldfastError } from '@holdfast/contract/errors';
import type { IscsiDiscovery } from '@holdfast/contract/luns';
import type { ProbeReport, StorageBackend, Usage } from '@holdfast/storage/backend';
import type { Events } from '../events.ts';
import type { Metrics } from '../metrics.ts';
import type { Settings } from '../settings.ts';
import { seal, unseal } from './seal.ts';
import { definitionOf, parseConfig, type Surroundings } from './types.ts';

const openedSecrets = z.record(z.string(), z.string());

export type BackendStatus = 'online' | 'offline' | 'error';

/** A configured storage, alive. */
export interface LiveBackend {
  readonly row: Backend;
  readonly storage: StorageBackend;
  readonly status: BackendStatus;
  readonly statusMessage: string;
  readonly checkedAt: Date | null;
  readonly usage: Usage | null;
}

export interface BackendChange {
  name?: string | undefined;
  /** Merged into the configuration; a secret left out is kept, null clears a field. */
  config?: JsonObject | undefined;
}

interface Entry {
  row: Backend;
  storage: StorageBackend;
  status: BackendStatus;
  statusMessage: string;
  checkedAt: Date | null;
  usage: Usage | null;
}

/** The live storages: made from their rows, checked, changed and taken away while the hub runs. */
export class Backends {
  readonly #catalog: Catalog;
  readonly #events: Events;
  readonly #metrics: Metrics;
  readonly #settings: Settings;
  readonly #logger: Logger;
  readonly #sealingKey: Buffer;
  readonly #surroundings: Surroundings;
  readonly #entries = new Map<string, Entry>();

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

  /** Brings every configured backend to life and cleans up what an interrupted write left on it. */
  async start(): Promise<void> {
    for (const row of await this.#catalog.backends.list())
      this.#entries.set(row.id, await this.#bringUp(row));
    await Promise.all([...this.#entries.values()].map((entry) => this.#recover(entry)));
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
      entry.row = row; // in place: a check that is under way notes its outcome here
      this.#metrics.backendUp.set({ backend: row.name }, entry.status === 'online' ? 1 : 0);
      return entry;
    }
    this.#entries.set(id, await this.#bringUp(row));
    await entry.storage[Symbol.asyncDispose]();
    await this.check(id);
    return this.#entry(id);
  }

  /** Forgets a backend; its files stay where they are. @throws HoldfastError `backend_not_found`, `backend_in_use` */
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
    await this.#catalog.backends.remove(id);
    this.#entries.delete(id);
    this.#metrics.backendUp.remove({ backend: entry.row.name });
    await entry.storage[Symbol.asyncDispose]();
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

  /** Runs the backend's named checks now, and keeps what they say as its status. */
  async check(id: string, signal?: AbortSignal): Promise<ProbeReport> {
    const entry = this.#entry(id);
    const report = await entry.storage.probe(signal === undefined ? {} : { signal });
    await this.#note(entry, report);
    return report;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#entries.values()].map((entry) => entry.storage[Symbol.asyncDispose]()));
    this.#entries.clear();
  }

  #entry(id: string): Entry {
    const entry = this.#entries.get(id);
    if (entry === undefined) throw backendNotFound(id);
    return entry;
  }

  async #bringUp(row: Backend): Promise<Entry> {
    const storage = await definitionOf(row.type).open({
      ...this.#surroundings,
      config: { ...row.config, ...this.#openSecrets(row) },
      volumeId: row.volumeId ?? '',
    });
    return {
      row,
      storage,
      status: 'offline',
      statusMessage: 'not checked since the hub started',
      checkedAt: null,
      usage: null,
    };
  }

  async #recover(entry: Entry): Promise<void> {
    const report = await this.check(entry.row.id);
    if (!report.ok) return;
    try {
      const swept = await entry.storage.sweep();
      if (swept.removed > 0) {
        this.#logger.warn({ backend: entry.row.name, ...swept }, 'removed what interrupted writes had left');
      }
    } catch (error) {
      this.#logger.error(
        { backend: entry.row.name, err: error },
        'the start-up sweep failed; it is tried again at the next start',
      );
    }
  }

  async #note(entry: Entry, report: ProbeReport): Promise<void> {
    const failed = report.checks.find((check) => !check.ok);
    const before = entry.status;
    const reachable = report.checks[0]?.ok ?? false;
    entry.status = report.ok ? 'online' : reachable ? 'error' : 'offline';
    entry.statusMessage = failed?.message ?? 'all checks passed';
    entry.checkedAt = new Date();
    entry.usage = report.ok ? await this.#usage(entry) : entry.usage;
    this.#metrics.backendUp.set({ backend: entry.row.name }, report.ok ? 1 : 0);
    if (entry.status !== before) {
      this.#events.publish({
        type: 'backend.status',
        backend_id: entry.row.id,
        name: entry.row.name,
        status: entry.status,
        status_message: entry.statusMessage,
      });
    }
  }

  async #usage(entry: Entry): Promise<Usage | null> {
    if (!entry.storage.capabilities.usage || entry.storage.usage === undefined) return null;
    try {
      return await entry.storage.usage();
    } catch (error) {
      if (!isHoldfastError(error)) throw error;
      this.#logger.warn({ backend: entry.row.name, err: error }, 'its usage cannot be read');
      return null;
    }
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

/** The fields of a configuration that are kept open, and those that are sealed. */
export function splitSecrets(
  config: JsonObject,
  secretFields: readonly string[],
): { open: JsonObject; secrets: Record<string, string> } {
  const open: JsonObject = {};
  const secrets: Record<string, string> = {};
  for (const [field, value] of Object.entries(config)) {
    if (!secretFields.includes(field)) open[field] = value;
    else if (typeof value === 'string') secrets[field] = value;
  }
  return { open, secrets };
}

/** Fields given replace, null clears, fields left out stay. */
export function mergeConfig(config: JsonObject, change: JsonObject): JsonObject {
  const merged = { ...config, ...change };
  return Object.fromEntries(Object.entries(merged).filter(([, value]) => value !== null));
}

function backendNotFound(id: string): HoldfastError {
  return new HoldfastError('backend_not_found', `There is no backend with the id ${id}.`);
}

function nameTaken(name: string): HoldfastError {
  return new HoldfastError('name_taken', `There is already a backend named "${name}".`, {
    errors: [{ field: 'name', message: 'is taken' }],
  });
}
