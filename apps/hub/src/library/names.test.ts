import { readFile, writeFile } from 'node:fs/promises';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { endpoints } from '@holdfast/contract/endpoints';
import { requestRaw } from '@holdfast/test-support/raw-http';
import { startTestHub, type TestHub } from '../testing/test-hub.ts';

let hub: TestHub;
let params: { id: string };
beforeAll(async () => {
  hub = await startTestHub();
  params = { id: hub.backendId };
});
afterAll(() => hub[Symbol.asyncDispose]());

async function read(path: string): Promise<string> {
  const answer = await hub.response(endpoints.downloadFile, { params, query: { path } });
  if (!answer.ok) throw new Error(`${path} answered ${answer.status}`);
  return answer.text();
}

describe('a hostile name', () => {
  const names = [
    'caf\u00e9',
    'cafe\u0301',
    '100%',
    '%2F',
    '%00',
    'a+b',
    'a b',
    'a#b?c&d=e',
    '"q"\'s',
    '🧊 日本',
    ';|`$(x)`',
    '..a',
    '-rf',
    'a:b',
    'CON',
    '~',
  ];

  it.each(names)('%j comes back byte for byte, in every call', async (name) => {
    const path = `/t/${name}/${name}`;
    await hub.upload(path, name);
    expect(await readFile(`${hub.root}${path}`, 'utf8')).toBe(name);
    expect(await read(path)).toBe(name);
    const query = { path: `/t/${name}` };
    const { data: listed } = await hub.call(endpoints.listFiles, { params, query });
    expect(listed.files.map((file) => [file.name, file.path])).toEqual([[name, path]]);
    expect(
      await (await hub.request(`/api/v1/files${path.split('/').map(encodeURIComponent).join('/')}`)).text(),
    ).toBe(name);
    const body = { source_path: path, destination_path: `${path}.moved` };
    await hub.call(endpoints.moveFile, { params, body });
    const { data } = await hub.call(endpoints.deleteFiles, { params, body: { paths: [`${path}.moved`] } });
    expect(data).toEqual({ deleted: 1, failed: [] });
  });

  it('in one Unicode form is another file than in the other', async () => {
    await hub.upload('/t/\u00e9', 'composed');
    await hub.upload('/t/e\u0301', 'decomposed');
    expect([await read('/t/\u00e9'), await read('/t/e\u0301')]).toEqual(['composed', 'decomposed']);
  });

  it('of any characters comes back or is refused, and never leaves the folder', async () => {
    await writeFile(`${hub.dataDir}/outside`, 'outside');
    const name = fc.string({ unit: 'binary', minLength: 1, maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(name, async (text) => {
        const query = { path: `/t/${text}` };
        const target = `/api/v1/storage/backends/${params.id}/files?path=${encodeURIComponent(query.path)}`;
        const stored = await hub.request(target, { method: 'POST', body: text });
        const body: unknown = await stored.json();
        if (stored.status !== 201 && stored.status !== 200) {
          expect(body).toMatchObject({
            code: expect.stringMatching(/^(invalid_path|is_a_directory|not_a_directory)$/),
          });
          return;
        }
        expect(await read(query.path)).toBe(text);
        await hub.call(endpoints.deleteFile, { params, query });
      }),
      { numRuns: 60 },
    );
    expect(await readFile(`${hub.dataDir}/outside`, 'utf8')).toBe('outside');
  });

  it.each([
    '/api/v1/files/../../outside',
    '/api/v1/files/..%2f..%2foutside',
    '/api/v1/files/%2e%2e/outside',
    '/api/v1/files/t/%00',
    '/api/v1/files/.holdfast/volume.json',
  ])('as the target %s serves nothing', async (target) => {
    const answer = await requestRaw(hub.url, 'GET', target);
    expect([400, 404, 422]).toContain(answer.status);
  });
});
