import { z } from 'zod';
import { queryBoolean } from './fields.ts';
import { objectOf, toJson } from './json.ts';
import type { JsonObject, JsonValue } from './json.ts';

const componentPrefix = '#/components/schemas/';

/** The schemas of a document, as JSON Schema 2020-12, which OpenAPI 3.1 takes as it is. */
export class SchemaCollector {
  readonly #components = new Map<string, JsonValue>();

  /** A schema of a request: what a caller may send, before defaults are filled in. */
  input(schema: z.ZodType): JsonObject {
    return this.#convert(schema, 'input');
  }

  /** A schema of an answer. */
  output(schema: z.ZodType): JsonObject {
    return this.#convert(schema, 'output');
  }

  /** The named schemas met so far, by name. */
  components(): JsonObject {
    return Object.fromEntries([...this.#components].toSorted(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** @throws Error when one name stands for two schemas: then one of them needs another `id`. */
  #convert(schema: z.ZodType, io: 'input' | 'output'): JsonObject {
    const { $defs = {}, $schema: _dialect, ...own } = z.toJSONSchema(schema, { io, override: simplify });
    for (const [name, definition] of Object.entries($defs)) {
      const converted = toJson(definition, moveReference);
      const known = this.#components.get(name);
      if (known !== undefined && JSON.stringify(known) !== JSON.stringify(converted)) {
        throw new Error(`Two schemas are called ${name}`);
      }
      this.#components.set(name, converted);
    }
    return objectOf(toJson(own, moveReference));
  }
}

/** The name of the component that a `$ref` points to. */
export function referencedName(reference: string): string | undefined {
  return reference.startsWith(componentPrefix) ? reference.slice(componentPrefix.length) : undefined;
}

function moveReference(text: string, key: string): string {
  return key === '$ref' ? text.replace(/^#\/\$defs\//, componentPrefix) : text;
}

function simplify({
  zodSchema,
  jsonSchema,
}: {
  zodSchema: z.core.$ZodType;
  jsonSchema: z.core.JSONSchema.BaseSchema;
}) {
  if (zodSchema === queryBoolean) {
    delete jsonSchema.anyOf;
    jsonSchema.type = 'boolean';
  }
  const { def } = zodSchema._zod;
  // zod drops both where a transformation follows, since they might be of the other side; ours are of this one.
  const examples: unknown = z.globalRegistry.get(zodSchema)?.examples;
  if (examples !== undefined) Object.assign(jsonSchema, { examples });
  if (def.type === 'default' && 'defaultValue' in def) jsonSchema.default = def.defaultValue;
  // Later versions add fields to answers, and a client must not refuse them; only strict objects stay closed.
  if (def.type === 'object' && !('catchall' in def && def.catchall !== undefined)) {
    delete jsonSchema.additionalProperties;
  }
  // The formats say it already, and their expressions are unreadable.
  if (jsonSchema.format !== undefined) delete jsonSchema.pattern;
  // The bounds of safe integers tell a reader nothing.
  if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
  if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
}
