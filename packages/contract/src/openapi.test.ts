import { describe, expect, it } from 'vitest';
import type { Endpoint } from './endpoint.ts';
import { endpoints } from './endpoints.ts';
import { errorCatalogue } from './errors.ts';
import { deletionFields } from './host-files.ts';
import { arrayOf, isJsonObject, objectOf, textOf } from './json.ts';
import type { JsonObject, JsonValue } from './json.ts';
import { referencedName } from './openapi-schema.ts';
import { errorCodesOf, openApiDocument, tags } from './openapi.ts';

const document = openApiDocument({ version: '1.2.3', serverUrl: 'https://files.example.org' });
const table = Object.entries<Endpoint>(endpoints);

interface Call {
  method: string;
  path: string;
  operation: JsonObject;
}

const calls: Call[] = Object.entries(objectOf(document['paths'])).flatMap(([path, item]) =>
  Object.entries(objectOf(item)).map(([method, operation]) => ({
    method,
    path,
    operation: objectOf(operation),
  })),
);

function operationOf(name: string): JsonObject {
  const call = calls.find(({ operation }) => operation['operationId'] === name);
  if (call === undefined) throw new Error(`The document has no ${name}.`);
  return call.operation;
}

function references(value: JsonValue): string[] {
  if (Array.isArray(value)) return value.flatMap(references);
  if (!isJsonObject(value)) return [];
  const own = textOf(value['$ref']);
  return [...(own === '' ? [] : [own]), ...Object.values(value).flatMap(references)];
}

describe('the endpoint table', () => {
  it('has each method and path once', () => {
    const seen = table.map(([, { method, path }]) => `${method} ${path}`);
    expect(new Set(seen).size).toBe(seen.length);
  });

  it('declares exactly the parameters of each path', () => {
    for (const [name, endpoint] of table) {
      const inPath = [...endpoint.path.matchAll(/\{(\w+)\*?\}/g)].map(([, parameter]) => parameter);
      const declared = arrayOf(operationOf(name)['parameters'])
        .map(objectOf)
        .filter((parameter) => parameter['in'] === 'path');
      expect(declared.map((parameter) => parameter['name'])).toEqual(inPath);
      expect(declared.every((parameter) => parameter['required'] === true)).toBe(true);
    }
  });

  it('lists codes of the catalogue only, each once', () => {
    for (const [name, endpoint] of table) {
      const codes = endpoint.errors ?? [];
      expect(
        codes.filter((code) => !Object.hasOwn(errorCatalogue, code)),
        name,
      ).toEqual([]);
      expect(new Set(codes).size, name).toBe(codes.length);
    }
  });

  it('gives no body to GET, HEAD, OPTIONS and DELETE, but for the deletion notice', () => {
    const bodiless = table.filter(([, { method }]) => ['GET', 'HEAD', 'OPTIONS', 'DELETE'].includes(method));
    expect(bodiless.filter(([, { body }]) => body !== undefined).map(([name]) => name)).toEqual([
      'deleteHostFile',
    ]);
    const notice = endpoints.deleteHostFile;
    const fields = Object.keys(deletionFields.shape);
    expect(Object.keys(notice.query?.shape ?? {})).toEqual(fields);
    expect(Object.keys(notice.body?.shape ?? {})).toEqual(fields);
  });

  it('lets only the named calls through without a credential', () => {
    const open = table.filter(([, { access }]) => access === 'anonymous').map(([name]) => name);
    expect(open.toSorted()).toEqual([
      'getDocs',
      'getHealth',
      'getOpenApi',
      'getReadiness',
      'reportInstalled',
      'tusOptions',
      'tusUploadOptions',
    ]);
    const boot = table.filter(([, { access }]) => access === 'boot').map(([name]) => name);
    expect(boot.toSorted()).toEqual([
      'getBootFile',
      'getBootScript',
      'getBootStatus',
      'getDnsmasqConfig',
      'getFirstScript',
      'getGrubConfig',
    ]);
  });

  it('asks for a writing scope wherever something is changed', () => {
    const weak = table.filter(
      ([, { method, access }]) =>
        !['GET', 'HEAD', 'OPTIONS'].includes(method) && !/:write$|^admin$/.test(access),
    );
    expect(weak.map(([name]) => name)).toEqual(['reportInstalled']);
  });
});

describe('the OpenAPI document', () => {
  it('is 3.1 with the version and server it was given', () => {
    expect(document).toMatchObject({
      openapi: '3.1.1',
      info: { version: '1.2.3' },
      servers: [{ url: 'https://files.example.org' }],
    });
    expect(openApiDocument({ version: '1' })['servers']).toBeUndefined();
  });

  it('holds every endpoint, and HEAD for what answers with bytes', () => {
    const ids = calls.map(({ operation }) => textOf(operation['operationId']));
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.toSorted()).toEqual(
      [...Object.keys(endpoints), 'downloadContentHead', 'downloadFileHead', 'getBootFileHead'].toSorted(),
    );
  });

  it('resolves every reference and has no component that nothing names, but for what operations and a batch hold', () => {
    const names = references(document).map(referencedName);
    const components = Object.keys(objectOf(objectOf(document['components'])['schemas']));
    expect(names.filter((name) => name === undefined || !components.includes(name))).toEqual([]);
    const unnamed = components.filter((name) => !names.includes(name));
    expect(unnamed).toEqual(['BackfillReport', 'BatchFileHeader', 'CollectionReport', 'VerifyReport']);
  });

  it('describes every tag in use, and no other', () => {
    const used = new Set(table.map(([, { tag }]) => tag));
    expect(tags.map(({ name }) => name).toSorted()).toEqual([...used].toSorted());
  });

  it('documents every code that an endpoint answers with, under its status', () => {
    for (const [name, endpoint] of table) {
      const responses = objectOf(operationOf(name)['responses']);
      for (const code of errorCodesOf(endpoint)) {
        const { status } = errorCatalogue[code];
        const response = objectOf(responses[status]);
        if (endpoint.status.includes(status)) continue;
        expect(arrayOf(response['x-codes']), `${name} ${code}`).toContain(code);
        expect(Object.keys(objectOf(response['content']))).toEqual(['application/problem+json']);
      }
      for (const status of endpoint.status) expect(responses[status], `${name} ${status}`).toBeDefined();
    }
  });

  it('says where a key is needed', () => {
    expect(operationOf('listFiles')['security']).toEqual([{ apiKey: [] }]);
    expect(operationOf('getHealth')['security']).toEqual([]);
    expect(operationOf('getBootFile')['security']).toEqual([{}, { apiKey: [] }]);
  });

  it('tells what a caller may send and what the hub fills in', () => {
    const parameters = arrayOf(operationOf('listFiles')['parameters']).map(objectOf);
    const schemas = Object.fromEntries(parameters.map(({ name, schema }) => [textOf(name), schema ?? null]));
    expect(schemas['limit']).toEqual({ type: 'integer', minimum: 1, maximum: 1000, default: 100 });
    expect(schemas['recursive']).toEqual({ type: 'boolean', default: false });
    const components = objectOf(objectOf(document['components'])['schemas']);
    expect(objectOf(components['NodeCreate'])['required']).toEqual(['mac']);
    expect(objectOf(components['NodeCreate'])['additionalProperties']).toBe(false);
    expect(objectOf(components['Node'])['additionalProperties']).toBeUndefined();
  });

  it('is JSON', () => {
    expect(JSON.parse(JSON.stringify(document))).toEqual(document);
  });
});
