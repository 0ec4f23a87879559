import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parseBackendPath, ROOT } from '@holdfast/bytes/backend-path';
import { HoldfastError } from '@holdfast/contract/errors';
import { createLocalBackend, prepareLocalRoot } from '@holdfast/storage/local';
import { makeTempDir } from '@holdfast/test-support/temp-dir';
import { noticingFailures } from './failure-notice.ts';

const away = new HoldfastError('backend_unavailable', 'The server does not answer.');
const path = parseBackendPath('/a');

it('leaves a storage as it is, and tells only of failures that may mean that it is away', async () => {
  await using folder = await makeTempDir('notice');
  const { volumeId } = await prepareLocalRoot({ root: join(folder.path, 'root'), create: true });
  await using local = createLocalBackend({ root: join(folder.path, 'root'), volumeId, ownerId: 'hub' });
  let failures = 0;
  const storage = noticingFailures(local, () => (failures += 1));

  await writeFile(join(folder.path, 'root/a'), 'text');
  expect([storage.type, storage.capabilities, 'move' in storage]).toEqual([
    'local',
    local.capabilities,
    true,
  ]);
  // Whoever keeps a part tells by it whether the storage was replaced.
  const [first, second] = [storage.contents, storage.contents];
  expect(first).toBe(second);
  const entry = await storage.stat(path);
  expect(storage.freshness(entry)?.()).toBe(true);
  {
    await using file = await storage.open(path);
    const read: Uint8Array[] = [];
    for await (const chunk of file.stream()) read.push(chunk);
    expect(Buffer.concat(read).toString()).toBe('text');
  }
  await expect(storage.stat(parseBackendPath('/missing'))).rejects.toMatchObject({ code: 'file_not_found' });
  expect(failures).toBe(0);

  await rename(join(folder.path, 'root'), join(folder.path, 'away'));
  await expect(storage.list(ROOT)).rejects.toMatchObject({ code: 'backend_unavailable' });
  await expect(storage.stat(path)).rejects.toMatchObject({ code: 'backend_unavailable' });
  expect(failures).toBe(2);
});

it('tells of a failure while bytes are read over a network, and of one in the vault', async () => {
  let failures = 0;
  const storage = noticingFailures(
    {
      open: async () => ({
        async *stream(): AsyncGenerator<Uint8Array> {
          yield Buffer.from('te');
          throw away;
        },
      }),
      contents: { stat: () => Promise.reject(away) },
    },
    () => (failures += 1),
  );
  const file = await storage.open();
  const read: string[] = [];
  const reading = async (): Promise<void> => {
    for await (const chunk of file.stream()) read.push(Buffer.from(chunk).toString());
  };
  await expect(reading()).rejects.toBe(away);
  expect([read, failures]).toEqual([['te'], 1]);
  await expect(storage.contents.stat()).rejects.toBe(away);
  expect(failures).toBe(2);
});

it('looks at members that come and go each time anew', () => {
  const storage = noticingFailures<{ usage?: () => number }>({}, () => {});
  expect(storage.usage).toBeUndefined();
  storage.usage = () => 7;
  expect(storage.usage()).toBe(7);
});
