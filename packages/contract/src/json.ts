/** Any JSON value. */
export type JsonValue = string | number | boolean | null | JsonValue[] | JsonObject;
/** A JSON object. */
export interface JsonObject {
  [key: string]: JsonValue;
}

/** True for a JSON object (not null, not an array). */
export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The value as an object; an empty one when it is none. */
export function objectOf(value: JsonValue | undefined): JsonObject {
  return isJsonObject(value) ? value : {};
}

/** The value as an array; an empty one when it is none. */
export function arrayOf(value: JsonValue | undefined): JsonValue[] {
  return Array.isArray(value) ? value : [];
}

/** The value as text; an empty one when it is none. */
export function textOf(value: JsonValue | undefined): string {
  return typeof value === 'string' ? value : '';
}

/**
 * A deep copy of a value that is JSON already; undefined members are left out. `rewrite` may replace a string,
 * knowing the key that holds it.
 *
 * @throws TypeError for what JSON cannot hold.
 */
export function toJson(
  value: unknown,
  rewrite: (text: string, key: string) => string = (text) => text,
): JsonValue {
  const copy = (part: unknown, key: string): JsonValue => {
    if (part === null || typeof part === 'boolean' || typeof part === 'number') return part;
    if (typeof part === 'string') return rewrite(part, key);
    if (Array.isArray(part)) return part.map((item) => copy(item, key));
    if (typeof part !== 'object')
      throw new TypeError(`${key} holds a ${typeof part}, which JSON cannot hold`);
    const members = Object.entries(part).filter(([, member]) => member !== undefined);
    return Object.fromEntries(members.map(([name, member]) => [name, copy(member, name)]));
  };
  return copy(value, '');
}
