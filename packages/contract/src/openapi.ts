import type { z } from 'zod';
import { backfillReport } from './checksums.ts';
import { endpoints } from './endpoints.ts';
import type { Access, BodySpec, Endpoint, RawBody } from './endpoint.ts';
import { errorCatalogue } from './errors.ts';
import type { ErrorCode } from './errors.ts';
import { verifyReport } from './files.ts';
import { collectionReport } from './host-files.ts';
import { arrayOf, objectOf } from './json.ts';
import type { JsonObject, JsonValue } from './json.ts';
import { SchemaCollector } from './openapi-schema.ts';
import { batchFileHeader } from './uploads.ts';
import { problem, problemMediaType, problemType } from './problem.ts';

/** The sections of the documentation, in order. */
export const tags: readonly { name: string; description: string }[] = [
  { name: 'Storage backends', description: 'The storages that hold the files.' },
  {
    name: 'Files',
    description: 'Files at the paths of a backend. Every byte that enters or leaves is verified.',
  },
  {
    name: 'Uploads',
    description: 'Uploads that survive anything: in chunks, by tus 1.0, or many small files at once.',
  },
  { name: 'Host files', description: 'What machines sent: versions, deletion, restoring.' },
  { name: 'Vault', description: 'Every content once, under its SHA-256.' },
  { name: 'Checksums', description: 'What the hub knows about the bytes of the files.' },
  { name: 'Booting', description: 'What firmware and boot loaders read: boot files and boot scripts.' },
  { name: 'Nodes', description: 'The machines that boot.' },
  { name: 'Workflows', description: 'What machines boot.' },
  { name: 'Transfers', description: 'What leaves the hub now, and how the bandwidth is shared.' },
  { name: 'Operations', description: 'Who did what to which file, how long it took and how it ended.' },
  { name: 'Events', description: 'What happens in the hub, as it happens.' },
  { name: 'Settings', description: 'What can be changed while the hub runs.' },
  { name: 'API keys', description: 'The credentials.' },
  { name: 'System', description: 'The hub itself: health, metrics, this documentation.' },
];

export interface OpenApiOptions {
  /** The version of the hub. */
  version: string;
  /** Where the hub answers, e.g. `https://files.example.org`, without a trailing slash. */
  serverUrl?: string | undefined;
}

const about =
  'One place for every file that machines need. Answers are `{"success": true, "data": …}`; errors are ' +
  '`application/problem+json` (RFC 9457) with a stable `code`. Times are ISO 8601 in UTC, sizes are bytes. ' +
  'Send an API key as `Authorization: Bearer …`.';

/** The OpenAPI 3.1 document of the endpoint table. */
export function openApiDocument({ version, serverUrl }: OpenApiOptions): JsonObject {
  const schemas = new SchemaCollector();
  const paths: Record<string, JsonObject> = {};
  for (const [name, endpoint] of Object.entries<Endpoint>(endpoints)) {
    const path = (paths[endpoint.path.replaceAll('*}', '}')] ??= {});
    path[endpoint.method.toLowerCase()] = operationOf(name, endpoint, schemas);
    if (answersHead(endpoint)) path['head'] = headOf(name, endpoint, schemas);
  }
  for (const schema of [problem, verifyReport, backfillReport, collectionReport, batchFileHeader])
    schemas.output(schema);
  return {
    openapi: '3.1.1',
    info: {
      title: 'Holdfast',
      version,
      description: about,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    ...(serverUrl === undefined ? {} : { servers: [{ url: serverUrl }] }),
    tags: tags.map(({ name, description }) => ({ name, description })),
    security: [{ apiKey: [] }],
    paths,
    components: {
      securitySchemes: {
        apiKey: { type: 'http', scheme: 'bearer', description: 'An API key: `Authorization: Bearer <key>`.' },
      },
      schemas: schemas.components(),
    },
    'x-error-codes': Object.entries(errorCatalogue).map(([code, { status, title }]) => ({
      code,
      status,
      title,
    })),
  };
}

/** The codes that an endpoint can answer with: its own, and those that follow from how it is called. */
export function errorCodesOf(endpoint: Endpoint): ErrorCode[] {
  const codes = new Set<ErrorCode>(endpoint.errors);
  if (endpoint.access !== 'anonymous') codes.add('unauthenticated').add('forbidden');
  if (endpoint.query !== undefined || endpoint.body !== undefined) codes.add('invalid_request');
  if (endpoint.query !== undefined || (endpoint.body !== undefined && !isRaw(endpoint.body))) {
    codes.add('validation_failed');
  }
  if (endpoint.body !== undefined && !isRaw(endpoint.body))
    codes.add('unsupported_media_type').add('too_large');
  codes.add('internal').add('shutting_down');
  return [...codes].toSorted((a, b) => errorCatalogue[a].status - errorCatalogue[b].status);
}

/** True for a body that is not JSON. */
export function isRaw(body: BodySpec): body is RawBody {
  return 'raw' in body;
}

const problemReference = { $ref: '#/components/schemas/Problem' };

function operationOf(name: string, endpoint: Endpoint, schemas: SchemaCollector): JsonObject {
  return {
    operationId: name,
    tags: [endpoint.tag],
    summary: endpoint.summary,
    ...(endpoint.description === undefined ? {} : { description: endpoint.description }),
    ...securityOf(endpoint.access),
    'x-access': endpoint.access,
    parameters: parametersOf(endpoint, schemas),
    ...(endpoint.body === undefined ? {} : { requestBody: requestBodyOf(endpoint.body, schemas) }),
    responses: responsesOf(endpoint, schemas),
  };
}

function answersHead(endpoint: Endpoint): boolean {
  const { method, response } = endpoint;
  return method === 'GET' && response !== undefined && isRaw(response) && isBinary(response);
}

function isBinary(body: RawBody): boolean {
  return body.contentTypes.includes('application/octet-stream');
}

function headOf(name: string, endpoint: Endpoint, schemas: SchemaCollector): JsonObject {
  const get = operationOf(name, endpoint, schemas);
  const responses: JsonObject = {};
  for (const [status, response] of Object.entries(objectOf(get['responses']))) {
    const { content: _body, ...rest } = objectOf(response);
    responses[status] = rest;
  }
  return { ...get, operationId: `${name}Head`, responses };
}

/** Empty requirements beside the key: the endpoint can be called without a credential. */
function securityOf(access: Access): JsonObject {
  if (access === 'anonymous') return { security: [] };
  if (access === 'boot') return { security: [{}, { apiKey: [] }] };
  return { security: [{ apiKey: [] }] };
}

function parametersOf(endpoint: Endpoint, schemas: SchemaCollector): JsonValue[] {
  const headers = Object.entries(endpoint.headers ?? {})
    // OpenAPI leaves Authorization to the security schemes (§4.8.12).
    .filter(([name]) => name !== 'authorization')
    .map(([name, description]) => ({
      name,
      in: 'header',
      required: false,
      description,
      schema: { type: 'string' },
    }));
  return [
    ...parametersFrom(endpoint.params, 'path', schemas),
    ...parametersFrom(endpoint.query, 'query', schemas),
    ...headers,
  ];
}

function parametersFrom(
  schema: z.ZodType | undefined,
  place: 'path' | 'query',
  schemas: SchemaCollector,
): JsonObject[] {
  if (schema === undefined) return [];
  const converted = schemas.input(schema);
  const required = arrayOf(converted['required']);
  return Object.entries(objectOf(converted['properties'])).map(([name, property]) => {
    const { description, ...rest } = objectOf(property);
    return {
      name,
      in: place,
      required: place === 'path' || required.includes(name),
      ...(description === undefined ? {} : { description }),
      schema: rest,
    };
  });
}

function requestBodyOf(body: BodySpec, schemas: SchemaCollector): JsonObject {
  if (!isRaw(body))
    return { required: true, content: { 'application/json': { schema: schemas.input(body) } } };
  return { description: body.description, content: rawContent(body) };
}

function rawContent(body: RawBody): JsonObject {
  const schemaOf = (type: string): JsonObject => {
    if (type === 'application/octet-stream') return {};
    if (type === 'multipart/form-data') return formOf({ file: { type: 'string', format: 'binary' } });
    // Raw bodies in these two types carry one value: a one-time token.
    if (type === 'application/json' || type === 'application/x-www-form-urlencoded') {
      return formOf({ token: { type: 'string' } });
    }
    return { type: 'string' };
  };
  return Object.fromEntries(body.contentTypes.map((type) => [type, { schema: schemaOf(type) }]));
}

function formOf(properties: Record<string, JsonObject>): JsonObject {
  return { type: 'object', properties, required: Object.keys(properties) };
}

const successDescriptions: Record<number, string> = {
  101: 'The connection is a WebSocket from here on; each message is one event.',
  200: 'Done.',
  201: 'Made.',
  202: 'Accepted; it goes on in the background.',
  206: 'The range that was asked for.',
  304: 'The caller has it already.',
  503: 'Not usable now.',
};

function responsesOf(endpoint: Endpoint, schemas: SchemaCollector): JsonObject {
  const responses: JsonObject = {};
  for (const status of endpoint.status) {
    const { response } = endpoint;
    const description = successDescriptions[status] ?? 'Done.';
    if (response === undefined || status === 304) responses[status] = { description };
    else if (isRaw(response))
      responses[status] = { description: response.description, content: rawContent(response) };
    else
      responses[status] = {
        description,
        content: { 'application/json': { schema: schemas.output(response) } },
      };
  }
  for (const [status, codes] of Map.groupBy(errorCodesOf(endpoint), (code) => errorCatalogue[code].status)) {
    if (responses[status] !== undefined) continue;
    responses[status] = {
      description: codes.map((code) => `\`${code}\`: ${errorCatalogue[code].title}.`).join(' '),
      'x-codes': codes,
      content: { [problemMediaType]: { schema: problemReference, example: exampleOf(codes) } },
    };
  }
  return responses;
}

function exampleOf(codes: readonly ErrorCode[]): JsonObject {
  const code = codes[0] ?? 'internal';
  const { status, title } = errorCatalogue[code];
  return { type: problemType(code), title, status, detail: `${title}.`, code };
}
