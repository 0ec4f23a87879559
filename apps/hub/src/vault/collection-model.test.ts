import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sha256Hex } from '@holdfast/bytes/sha256';
import { endpoints } from '@holdfast/contract/endpoints';
import { collectionReport, type CollectionReport } from '@holdfast/contract/host-files';
import { keepFile } from '../host-files/testing/kept-files.ts';
import { startTestHub, type TestHub } from '../testing/test-hub.ts';

let hub: TestHub;
let hubId: string;
beforeAll(async () => {
  hub = await startTestHub();
  // The vault's folder is made with its first content.
  await apply(new Model(), { kind: 'leave', text: 'one' }, 'nobody');
  await collect(false);
  hubId = (await readFile(join(hub.dataDir, 'hub.id'), 'utf8')).trim();
});
afterAll(() => hub[Symbol.asyncDispose]());

const LONG_AGO = new Date('2020-01-01T00:00:00Z');

async function collect(dryRun: boolean): Promise<CollectionReport> {
  const { data } = await hub.call(endpoints.collectVault, { body: { dry_run: dryRun } });
  return collectionReport.parse((await hub.finished(data.operation_id)).details);
}

async function vaultFiles(): Promise<string[]> {
  const folder = join(hub.root, '.holdfast', 'vault');
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.flatMap((entry) => (entry.isFile() ? [entry.name] : [])).toSorted();
}

type Command =
  | { kind: 'keep'; path: string; text: string }
  | { kind: 'delete'; path: string; longAgo: boolean }
  | { kind: 'restore'; path: string; version: number }
  | { kind: 'leave'; text: string }
  | { kind: 'mark' }
  | { kind: 'sweep' }
  | { kind: 'collect' };

const path = fc.constantFrom('/a', '/b', '/c');
const text = fc.constantFrom('one', 'two', 'three', '');
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('keep' as const), path, text }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('delete' as const), path, longAgo: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('restore' as const), path, version: fc.nat(4) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('leave' as const), text }) },
  { weight: 1, arbitrary: fc.constantFrom<Command>({ kind: 'mark' }, { kind: 'sweep' }) },
  { weight: 2, arbitrary: fc.constant<Command>({ kind: 'collect' }) },
);

interface ModelFile {
  versions: { id: string; text: string }[];
  deleted: 'no' | 'recently' | 'long ago';
}

/** What a hub should know: the versions of files, and what lies in its vault. */
class Model {
  readonly files = new Map<string, ModelFile>();
  vault = new Set<string>();

  referenced(): Set<string> {
    return new Set(
      [...this.files.values()].flatMap(({ versions }) => versions.map((version) => version.text)),
    );
  }

  /** @returns the versions that a purge removes */
  purge(): number {
    let purged = 0;
    for (const [name, file] of this.files) {
      if (file.deleted !== 'long ago') continue;
      purged += file.versions.length;
      this.files.delete(name);
    }
    return purged;
  }
}

async function apply(model: Model, step: Command, hostname: string): Promise<void> {
  const { catalog, vault } = hub.context;
  switch (step.kind) {
    case 'keep': {
      const { id } = await keepFile(hub, { hostname, filepath: step.path, bytes: step.text });
      const file = model.files.get(step.path) ?? { versions: [], deleted: 'no' };
      const isSame = file.deleted === 'no' && file.versions.at(-1)?.text === step.text;
      if (isSame) expect(id).toBe(file.versions.at(-1)?.id);
      else file.versions.push({ id, text: step.text });
      model.files.set(step.path, { ...file, deleted: 'no' });
      model.vault.add(step.text);
      return;
    }
    case 'delete': {
      const file = model.files.get(step.path);
      const sha256 = sha256Hex(file?.versions.at(-1)?.text ?? 'nothing');
      const [answer] = await catalog.hostFiles.markDeletedMany([{ hostname, filepath: step.path, sha256 }], {
        reach: { kind: 'all' },
        at: step.longAgo ? LONG_AGO : new Date(),
      });
      expect(answer?.kind).toBe(file === undefined ? 'not_found' : 'deleted');
      if (file?.deleted === 'no') file.deleted = step.longAgo ? 'long ago' : 'recently';
      return;
    }
    case 'restore': {
      const file = model.files.get(step.path);
      const version = file?.versions[step.version];
      const response = await hub.response(endpoints.restoreHostFile, {
        params: { file_id: version?.id ?? 'none' },
      });
      if (file === undefined || version === undefined) {
        expect(response.status).toBe(404);
        return;
      }
      expect(response.status).toBe(file.deleted === 'long ago' ? 410 : 200);
      if (response.status === 410) return;
      const restored = endpoints.restoreHostFile.response?.parse(await response.json());
      const isSame = file.deleted === 'no' && file.versions.at(-1)?.text === version.text;
      if (!isSame) file.versions.push({ id: restored?.file_id ?? '', text: version.text });
      file.deleted = 'no';
      return;
    }
    case 'leave': {
      async function* source(): AsyncGenerator<Uint8Array> {
        yield Buffer.from(step.kind === 'leave' ? step.text : '');
      }
      await vault.backendFor().contents.store(source());
      model.vault.add(step.text);
      return;
    }
    case 'mark': {
      // A hub that stops between the mark and the removal.
      const { contents } = await catalog.contents.unreferenced({ limit: 100 });
      await catalog.contents.beginRemoval(
        contents.map(({ sha256 }) => sha256),
        hubId,
      );
      return;
    }
    case 'sweep':
      await vault.sweep();
      await collect(true); // which waits for the sweep
      model.vault = new Set(await namesInVault());
      for (const kept of model.referenced()) expect(model.vault).toContain(kept);
      return;
    case 'collect': {
      const dry = await collect(true);
      const before = model.vault.size;
      const purged = model.purge();
      const report = await collect(false);
      expect(report).toEqual({ ...dry, dry_run: false });
      expect(report).toMatchObject({ purged_files: purged, failed: [] });
      model.vault = model.referenced();
      expect(report.removed_contents + report.orphans).toBe(before - model.vault.size);
      expect(await vaultFiles()).toEqual([...model.vault].map((kept) => sha256Hex(kept)).toSorted());
    }
  }
}

const names = new Map(['one', 'two', 'three', ''].map((name) => [sha256Hex(name), name]));

async function namesInVault(): Promise<string[]> {
  return (await vaultFiles()).map((sha256) => names.get(sha256) ?? sha256);
}

describe('the vault', () => {
  it(
    'keeps what is referred to and nothing else, whatever happens in whatever order',
    { timeout: 300_000 },
    async () => {
      let run = 0;
      await fc.assert(
        fc.asyncProperty(fc.array(command, { maxLength: 20 }), async (steps) => {
          const hostname = `model-${run++}`;
          const model = new Model();
          for (const step of steps) await apply(model, step, hostname);
          for (const kept of model.referenced()) {
            const response = await hub.response(endpoints.downloadContent, {
              params: { sha256: sha256Hex(kept) },
            });
            expect([response.status, await response.text()]).toEqual([200, kept]);
          }
          // In the end everything goes, and the vault is empty.
          for (const filepath of model.files.keys()) {
            await apply(model, { kind: 'delete', path: filepath, longAgo: true }, hostname);
            await apply(model, { kind: 'restore', path: filepath, version: 0 }, hostname);
            await apply(model, { kind: 'delete', path: filepath, longAgo: true }, hostname);
          }
          await apply(model, { kind: 'collect' }, hostname);
          expect(await vaultFiles()).toEqual([]);
        }),
        { numRuns: 40 },
      );
    },
  );

  it(
    'loses nothing that is recorded while collections run side by side with it',
    { timeout: 120_000 },
    async () => {
      const texts = Array.from({ length: 8 }, (_, index) => `contended ${index}`);
      const collecting = new AbortController();
      const collections = (async () => {
        while (!collecting.signal.aborted) await collect(false);
      })();
      await Promise.all(
        texts.map(async (bytes, index) => {
          const file = { hostname: 'contended', filepath: `/${index}`, bytes };
          for (let round = 0; round < 15; round++) {
            const { sha256, filepath, hostname } = await keepFile(hub, file);
            const response = await hub.response(endpoints.downloadContent, { params: { sha256 } });
            expect([response.status, await response.text()]).toEqual([200, bytes]);
            const at = round === 14 ? new Date() : LONG_AGO;
            await hub.context.catalog.hostFiles.markDeletedMany([{ hostname, filepath, sha256 }], {
              reach: { kind: 'all' },
              at,
            });
          }
        }),
      );
      collecting.abort();
      await collections;
      expect((await vaultFiles()).toSorted()).toEqual(texts.map((bytes) => sha256Hex(bytes)).toSorted());
    },
  );
});
