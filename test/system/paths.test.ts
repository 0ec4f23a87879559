import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startHub, type HubUnderTest } from '../support/hub.ts';
import {
  bootBackend,
  createLocalBackend,
  filesPath,
  json,
  parseProblem,
  problemOf,
  upload,
} from '../support/hub-storage.ts';
import { requestRaw } from '../support/raw-http.ts';
import { makeTempDir, type TempDir } from '../support/temp-dir.ts';

/** Paths that are refused wherever the API takes one. */
const refused = {
  'a parent segment': '/a/../b',
  'a leading parent segment': '../b',
  'many parent segments': '/../../../../../../../../tmp/b',
  'a current segment': '/a/./b',
  'a NUL': '/a\0b',
  'a line break': '/a\nb',
  'a backslash': '/a\\b',
  'parents by backslash': '\\..\\..\\b',
  'the reserved area': '/.holdfast',
  'a file of the reserved area': '/.holdfast/staging/x',
  'the reserved area in capitals': '/.HoldFast/x',
  'the reserved area behind slashes': '//.holdfast/x',
  'a name of 5,000 characters': `/${'n'.repeat(5_000)}`,
  'a name of 300 characters': `/${'n'.repeat(300)}`,
  'a path of 5,000 characters': '/abcd'.repeat(1_000),
};

/** The same attacks as a URL's path, exactly as sent. */
const refusedTargets = [
  '/api/v1/files/../../../etc/hostname',
  '/api/v1/files/%2e%2e/%2e%2e/hub.id',
  '/api/v1/files/..%2f..%2fhub.id',
  '/api/v1/files/a/..%2F..%2Fhub.id',
  '/api/v1/files/%252e%252e/hub.id',
  '/api/v1/files/..%5c..%5chub.id',
  '/api/v1/files/..%c0%af..%c0%afhub.id',
  '/api/v1/files/%00',
  '/api/v1/files/a%00.bin',
  '/api/v1/files/.holdfast/staging',
  '/api/v1/files/%2eholdfast/staging',
  '/api/v1/files//.holdfast/',
  '/api/v1/files/%ff%fe',
  '/api/v1/files/%zz',
  `/api/v1/files/${'n'.repeat(5_000)}`,
];

const resources = new AsyncDisposableStack();
let hub: HubUnderTest;
let work: TempDir;
let root: string;
let backendId: string;

beforeAll(async () => {
  work = resources.use(await makeTempDir('paths'));
  hub = resources.use(await startHub());
  root = work.join('inside');
  await mkdir(path.join(root, 'a'), { recursive: true });
  await mkdir(work.join('outside'));
  await writeFile(work.join('outside/secret'), 'secret');
  backendId = (await createLocalBackend(hub, 'paths', root)).id;
});

afterAll(() => resources.disposeAsync());

describe.each(Object.entries(refused))('a path with %s', (_, filePath) => {
  it('is refused by every call that takes one, naming the field, and nothing on disk changes', async () => {
    const before = await tree(work.path);
    const base = `/api/v1/storage/backends/${backendId}`;
    const download = `${base}/files/download?path=${encodeURIComponent(filePath)}`;
    const calls: [field: string, response: Response][] = [
      ['path', await upload(hub, backendId, filePath, 'evil')],
      ['path', await hub.api(download)],
      ['path', await hub.api(filesPath(backendId, filePath))],
      ['path', await hub.api(filesPath(backendId, filePath), { method: 'DELETE' })],
      ['path', await hub.api(`${base}/folders`, json('POST', { path: filePath }))],
      [
        'source_path',
        await hub.api(`${base}/files/move`, json('POST', { source_path: filePath, destination_path: '/x' })),
      ],
      [
        'destination_path',
        await hub.api(`${base}/files/copy`, json('POST', { source_path: '/a', destination_path: filePath })),
      ],
    ];
    for (const [field, response] of calls) {
      const problem = await problemOf(response);
      expect(problem.status, problem.detail).toBe(response.status);
      expect([400, 414, 422], `${field}: ${problem.detail}`).toContain(response.status);
      expect(problem.errors?.map((error) => error.field)).toContain(field);
      expect(problem.detail).toMatch(/ .*\.$/);
    }
    expect(await tree(work.path)).toEqual(before);
  });
});

describe('a boot file URL', () => {
  it.each(refusedTargets)('%s is answered with a 4xx problem and no content', async (target) => {
    for (const method of ['GET', 'HEAD']) {
      const response = await requestRaw(hub.url, method, target);
      expect(response.status).toBeGreaterThanOrEqual(400);
      expect(response.status).toBeLessThan(500);
      if (method === 'GET') {
        const problem = parseProblem(response.header('Content-Type'), response.body.toString());
        expect(problem.status).toBe(response.status);
      }
    }
  });
});

describe('a symlink that leaves the backend', () => {
  const links = {
    'an absolute link to a folder': ['abs-folder', (): string => work.join('outside'), '/abs-folder/secret'],
    'an absolute link to a file': ['abs-file', (): string => work.join('outside/secret'), '/abs-file'],
    'a relative link': ['relative', (): string => '../outside', '/relative/secret'],
  } as const;

  it.each(Object.entries(links))(
    '%s is not read, written or deleted through',
    async (_, [name, target, filePath]) => {
      await symlink(target(), path.join(root, name));
      const download = `/api/v1/storage/backends/${backendId}/files/download?path=${filePath}`;
      const read = await hub.api(download);
      expect(read.status).toBeGreaterThanOrEqual(400);
      expect(read.status).toBeLessThan(500);
      await problemOf(read);

      // A write or a delete may replace or remove the link itself, never what it points to.
      for (const evil of [filePath, `/${name}/new`]) {
        expect((await upload(hub, backendId, evil, 'evil')).status).toBeLessThan(500);
        expect((await hub.api(filesPath(backendId, evil), { method: 'DELETE' })).status).toBeLessThan(500);
      }
      expect(await readdir(work.join('outside'))).toEqual(['secret']);
      expect(await readFile(work.join('outside/secret'), 'utf8')).toBe('secret');
    },
  );
});

describe('any text as a path', () => {
  it('is stored inside the backend and read back, or refused with a 4xx, and never touches anything else', async () => {
    const piece = fc.oneof(
      fc.constantFrom(
        '/',
        '..',
        '.',
        '\\',
        '%2e%2e',
        '%2f',
        '\0',
        '.holdfast',
        'a',
        ' ',
        'ü',
        '\u200c',
        '\ud800',
        '~',
        ':',
      ),
      fc.string({ unit: 'binary', maxLength: 8 }),
      fc.string({ unit: 'grapheme', maxLength: 8 }),
    );
    const anyPath = fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join('').toWellFormed());
    const { root: defaultRoot } = await bootBackend(hub);
    const others = async (): Promise<unknown> => [await tree(work.join('outside')), await tree(defaultRoot)];
    const before = await others();

    const property = fc.asyncProperty(anyPath, fc.string({ maxLength: 20 }), async (filePath, body) => {
      const response = await upload(hub, backendId, filePath, body);
      if (!response.ok) {
        expect(response.status).toBeGreaterThanOrEqual(400);
        expect(response.status).toBeLessThan(500);
        await problemOf(response);
        return;
      }
      await response.body?.cancel();
      const target = `/api/v1/storage/backends/${backendId}/files/download?path=${encodeURIComponent(filePath)}`;
      const read = await hub.api(target);
      expect(await read.text()).toBe(body);
      const removed = await hub.api(filesPath(backendId, filePath), { method: 'DELETE' });
      expect(removed.status).toBe(200);
      await removed.body?.cancel();
    });
    await fc.assert(property, { numRuns: 300 });

    expect(await others()).toEqual(before);
    expect((await readdir(work.path)).toSorted()).toEqual(['inside', 'outside']);
  });
});

/** All paths below a folder but for the hub's own area, in order. */
async function tree(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true });
  return entries.filter((entry) => !entry.split(path.sep).includes('.holdfast')).toSorted();
}
