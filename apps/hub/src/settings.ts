import type { Catalog } from '@holdfast/catalog/catalog';
import { settings as settingsSchema, type Settings as HubSettings } from '@holdfast/contract/settings';
import type { Events } from './events.ts';

/** The hub's settings as they are now; changes apply at once, running work included. */
export class Settings {
  readonly #catalog: Catalog;
  readonly #events: Events;
  readonly #listeners: ((settings: HubSettings) => void)[] = [];
  #current: HubSettings;

  private constructor(catalog: Catalog, events: Events, current: HubSettings) {
    this.#catalog = catalog;
    this.#events = events;
    this.#current = current;
  }

  static async load(catalog: Catalog, events: Events): Promise<Settings> {
    return new Settings(catalog, events, settingsSchema.parse(await catalog.settings.getAll()));
  }

  get current(): HubSettings {
    return this.#current;
  }

  /** Calls `listener` with the settings now and after each change. */
  follow(listener: (settings: HubSettings) => void): void {
    this.#listeners.push(listener);
    listener(this.#current);
  }

  /** Stores a change that was already validated, and applies it. */
  async update(change: Partial<HubSettings>): Promise<HubSettings> {
    await this.#catalog.settings.setMany(change);
    this.#current = settingsSchema.parse({ ...this.#current, ...change });
    for (const listener of this.#listeners) listener(this.#current);
    this.#events.publish({ type: 'settings.changed', fields: Object.keys(change) });
    return this.#current;
  }
}
