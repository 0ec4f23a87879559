import type { Catalog } from '@holdfast/catalog/catalog';
import type { Settings } from '../settings.ts';

/** How long uploads live to which nothing comes. */
export class Lifetime {
  readonly #catalog: Catalog;
  readonly #settings: Settings;
  readonly #onError: (error: unknown) => void;

  constructor(options: { catalog: Catalog; settings: Settings; onError: (error: unknown) => void }) {
    this.#catalog = options.catalog;
    this.#settings = options.settings;
    this.#onError = options.onError;
  }

  /** When an upload expires to which something comes now. */
  next(): Date {
    return new Date(Date.now() + this.#milliseconds);
  }

  /** Until it is disposed: work that takes longer than an upload lives must not find it expired. */
  keepAlive(id: string): Disposable {
    const timer = setInterval(() => {
      this.#catalog.uploads.slide(id, this.next()).catch(this.#onError);
    }, this.#milliseconds / 3).unref();
    return { [Symbol.dispose]: () => clearInterval(timer) };
  }

  get #milliseconds(): number {
    return this.#settings.current.upload_session_ttl_seconds * 1000;
  }
}
