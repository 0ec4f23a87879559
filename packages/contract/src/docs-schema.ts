import { code, escapeHtml, prose } from './docs-html.ts';
import { arrayOf, isJsonObject, objectOf, textOf } from './json.ts';
import type { JsonObject, JsonValue } from './json.ts';
import { referencedName } from './openapi-schema.ts';

/** The type of a schema in a few words, as HTML: `string`, `array of Node`, `one of "a", "b"`. */
export function typeName(schema: JsonObject): string {
  const reference = referencedName(textOf(schema['$ref']));
  if (reference !== undefined)
    return `<a href="#schema-${escapeHtml(reference)}">${escapeHtml(reference)}</a>`;
  if (schema['const'] !== undefined) return code(JSON.stringify(schema['const']));
  if (Array.isArray(schema['enum']))
    return `one of ${schema['enum'].map((value) => code(shown(value))).join(', ')}`;
  const options = [...arrayOf(schema['anyOf']), ...arrayOf(schema['oneOf'])];
  if (options.length > 0)
    return [...new Set(options.map((option) => typeName(objectOf(option))))].join(' or ');
  if (schema['type'] === 'array') return `array of ${typeName(objectOf(schema['items']))}`;
  const { type } = schema;
  const name = Array.isArray(type) ? type.map(textOf).join(' or ') : textOf(type) || 'any value';
  const format = textOf(schema['format']);
  return escapeHtml(format === '' ? name : `${name} (${format})`);
}

/** The bounds, default and examples of a schema, as HTML; empty when it has none. */
export function limits(schema: JsonObject): string {
  const parts = Object.entries(limitWords).flatMap(([key, word]) =>
    schema[key] === undefined ? [] : [`${word} ${code(shown(schema[key] ?? ''))}`],
  );
  if (schema['default'] !== undefined) parts.push(`default ${code(JSON.stringify(schema['default']))}`);
  const examples = arrayOf(schema['examples']);
  if (examples.length > 0) parts.push(`e.g. ${examples.map((value) => code(shown(value))).join(', ')}`);
  return parts.join('; ');
}

const limitWords: Readonly<Record<string, string>> = {
  minimum: 'from',
  maximum: 'to',
  exclusiveMinimum: 'above',
  minLength: 'characters from',
  maxLength: 'characters to',
  minItems: 'entries from',
  maxItems: 'entries to',
  pattern: 'matches',
};

/** The fields of an object schema as a table; of a union one table a member; nothing for other schemas. */
export function fieldTable(schema: JsonObject): string {
  const options = [...arrayOf(schema['oneOf']), ...arrayOf(schema['anyOf'])].filter(isJsonObject);
  const objects = options.filter((option) => option['properties'] !== undefined);
  if (objects.length > 0) return objects.map(fieldTable).join('\n');
  const rows = fieldRows(schema, '');
  if (rows.length === 0) return '';
  return `<table><thead><tr><th>Field</th><th>Type</th><th>Meaning</th></tr></thead><tbody>${rows.join('')}</tbody></table>`;
}

function fieldRows(schema: JsonObject, prefix: string): string[] {
  const required = arrayOf(schema['required']);
  return Object.entries(objectOf(schema['properties'])).flatMap(([name, value]) => {
    const field = objectOf(value);
    const nested = field['type'] === 'array' ? objectOf(field['items']) : field;
    const separator = field['type'] === 'array' ? '[].' : '.';
    const meaning = [prose(textOf(field['description'])), limits(field)]
      .filter((text) => text !== '')
      .join(' ');
    const mark = required.includes(name) ? '' : ' <small>optional</small>';
    return [
      `<tr><td>${code(prefix + name)}${mark}</td><td>${typeName(field)}</td><td>${meaning}</td></tr>`,
      ...fieldRows(nested, `${prefix}${name}${separator}`),
    ];
  });
}

/** A value of the schema's shape, for an example; of an object only what is required. */
export function exampleOf(schema: JsonObject, components: JsonObject): JsonValue {
  const reference = referencedName(textOf(schema['$ref']));
  if (reference !== undefined) return exampleOf(objectOf(components[reference]), components);
  const [example] = arrayOf(schema['examples']);
  if (example !== undefined) return example;
  if (schema['const'] !== undefined) return schema['const'];
  if (schema['default'] !== undefined) return schema['default'];
  const [first] = [...arrayOf(schema['enum']), ...arrayOf(schema['oneOf']), ...arrayOf(schema['anyOf'])];
  if (first !== undefined) return isJsonObject(first) ? exampleOf(first, components) : first;
  switch (schema['type']) {
    case 'object':
      return objectExample(schema, components);
    case 'array':
      return [exampleOf(objectOf(schema['items']), components)];
    case 'integer':
    case 'number':
      return schema['minimum'] ?? 1;
    case 'boolean':
      return true;
    default:
      return 'text';
  }
}

function objectExample(schema: JsonObject, components: JsonObject): JsonObject {
  const properties = Object.entries(objectOf(schema['properties']));
  const required = arrayOf(schema['required']);
  const chosen = properties.filter(([name]) => required.includes(name));
  return Object.fromEntries(
    (chosen.length > 0 ? chosen : properties.slice(0, 1)).map(([name, field]) => [
      name,
      name === 'path' || name.endsWith('_path') || name === 'paths'
        ? pathExample(name, objectOf(field))
        : exampleOf(objectOf(field), components),
    ]),
  );
}

function pathExample(name: string, field: JsonObject): JsonValue {
  const path = name.startsWith('destination') ? '/debian/vmlinuz-new' : '/debian/vmlinuz';
  return field['type'] === 'array' ? [path] : path;
}

function shown(value: JsonValue): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
