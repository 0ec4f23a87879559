import { mkdir, readdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { SteppedClock } from '@holdfast/bytes/pacing/testing/stepped-clock';
import { createLocalBackend, prepareLocalRoot } from '@holdfast/storage/local';
import { makeTempDir } from '@holdfast/test-support/temp-dir';
import { KeptBackend } from './live-backend.ts';

const inTurn = { isAskedFor: false };
const ownerId = 'hub-1';

let resources: AsyncDisposableStack;
let root: string;
let changes: string[];
let backend: KeptBackend;
beforeEach(async () => {
  resources = new AsyncDisposableStack();
  root = join(resources.use(await makeTempDir('live')).path, 'root');
  const { volumeId } = await prepareLocalRoot({ root, create: true });
  changes = [];
  backend = resources.use(
    new KeptBackend({
      row: {
        id: 'backend-1',
        name: 'archive',
        type: 'local',
        config: { root },
        sealedSecrets: null,
        volumeId,
        createdAt: new Date(0),
        updatedAt: new Date(0),
      },
      storage: createLocalBackend({ root, volumeId, ownerId }),
      logger: pino({ level: 'silent' }),
      setTimer: new SteppedClock().setTimer,
      onChecked: ({ status }, before) => changes.push(`${before} → ${status}`),
      onDoubt: () => changes.push('doubt'),
      onLateAnswer: () => changes.push('late answer'),
    }),
  );
});
afterEach(() => resources.disposeAsync());

it('is offline until its first check, and then what that has found', async () => {
  expect(backend).toMatchObject({ status: 'offline', checkedAt: null, usage: null });
  await backend.check(inTurn);
  expect(backend).toMatchObject({ status: 'online', statusMessage: 'all checks passed' });
  expect(backend.usage?.totalBytes).toBeGreaterThan(0);
  expect(backend.checkedAt).toBeInstanceOf(Date);
  expect(changes).toEqual(['offline → online']);
});

it('is offline when it cannot be reached, in error when it can and is not right, and keeps its last known usage', async () => {
  await backend.check(inTurn);
  const { usage } = backend;
  await rename(root, `${root}.away`);
  await backend.check(inTurn);
  expect(backend.statusMessage).toContain(root);
  await mkdir(root);
  await backend.check(inTurn);
  expect(backend.statusMessage).toContain('no marker');
  expect(backend.usage).toBe(usage);
  expect(changes).toEqual(['offline → online', 'online → offline', 'offline → error']);
});

it('cleans up what interrupted writes left with the first check that passes, which need not be the first one', async () => {
  const staging = join(root, '.holdfast/staging');
  await writeFile(join(staging, `${ownerId}.${crypto.randomUUID()}.tmp`), 'half a file');
  await rename(root, `${root}.away`);
  await backend.check(inTurn);
  await backend.swept();
  await rename(`${root}.away`, root);
  expect(await readdir(staging)).toHaveLength(1);
  await backend.check(inTurn);
  await backend.swept();
  expect(await readdir(staging)).toEqual([]);
});

it('tells of operations that fail as if it were away', async () => {
  await rename(root, `${root}.away`);
  await expect(backend.storage.sweep()).rejects.toMatchObject({ code: 'backend_unavailable' });
  expect(changes).toEqual(['doubt']);
});
