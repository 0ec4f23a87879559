import type { JsonObject } from '@holdfast/contract/json';

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
