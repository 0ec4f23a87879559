import { UsageError } from './exit-codes.ts';

/** The options of a command line by their long names in camelCase. */
export class Options {
  readonly #values: Readonly<Record<string, unknown>>;

  constructor(values: Readonly<Record<string, unknown>>) {
    this.#values = values;
  }

  /** Whether a switch was given. */
  flag(name: string): boolean {
    return this.#values[name] === true;
  }

  /** The text of an option, or undefined when it was not given. */
  text(name: string): string | undefined {
    const value = this.#values[name];
    return typeof value === 'string' ? value : undefined;
  }

  /** All texts of an option that may be given several times. */
  texts(name: string): string[] {
    const value = this.#values[name];
    if (typeof value === 'string') return [value];
    return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : [];
  }

  /**
   * A whole number within bounds (inclusive), or undefined when it was not given.
   * @throws UsageError for anything else
   */
  integer(name: string, minimum: number, maximum: number): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = /^-?\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= minimum && value <= maximum) return value;
    const flag = `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    throw new UsageError(`${flag} must be a whole number from ${minimum} to ${maximum}, not "${text}".`);
  }
}
