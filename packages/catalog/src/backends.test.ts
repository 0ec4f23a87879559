import { expect, test } from 'vitest';
import type { NewBackend } from './backends.ts';
import { describeDialects } from './dialect-fixture.ts';

const local: NewBackend = { name: 'default', type: 'local', config: { root: '/srv/files' } };

describeDialects(({ open }) => {
  test('a backend is read back as it was inserted', async () => {
    const { backends } = await open();
    const before = Date.now();
    const inserted = await backends.insert({
      name: 'büro ☕ "1"',
      type: 's3',
      config: { endpoint: 'https://s3', nested: { list: [1, null, true, 'x\0y'] } },
      sealedSecrets: 'v1:abc',
      volumeId: 'volume',
    });
    expect(inserted.id).toMatch(/^[0-9a-f-]{36}$/);
    expect(inserted.createdAt.getTime()).toBeGreaterThanOrEqual(before);
    expect(inserted.updatedAt).toEqual(inserted.createdAt);
    expect(inserted.config).toEqual({ endpoint: 'https://s3', nested: { list: [1, null, true, 'x\0y'] } });
    expect(await backends.get(inserted.id)).toEqual(inserted);
    expect(await backends.getByName('büro ☕ "1"')).toEqual(inserted);
    expect(await backends.get('unknown')).toBeNull();
    expect(await backends.getByName('BÜRO ☕ "1"')).toBeNull();
  });

  test('an id that is given is kept', async () => {
    const { backends } = await open();
    expect((await backends.insert({ ...local, id: 'fixed' })).id).toBe('fixed');
  });

  test('a patch changes what it names and nothing else', async () => {
    const { backends } = await open();
    const inserted = await backends.insert({ ...local, sealedSecrets: 'sealed', volumeId: 'volume' });
    const renamed = await backends.update(inserted.id, { name: 'renamed' });
    expect(renamed).toMatchObject({
      name: 'renamed',
      sealedSecrets: 'sealed',
      volumeId: 'volume',
      config: local.config,
    });
    const cleared = await backends.update(inserted.id, { sealedSecrets: null, config: { root: '/other' } });
    expect(cleared).toMatchObject({ name: 'renamed', sealedSecrets: null, config: { root: '/other' } });
    expect(await backends.get(inserted.id)).toEqual(cleared);
    expect(await backends.update('unknown', { name: 'x' })).toBeNull();
  });

  test('a name is given once', async () => {
    const { backends } = await open();
    await backends.insert(local);
    const other = await backends.insert({ ...local, name: 'other' });
    const refusal = {
      code: 'name_taken',
      message: 'There is already a backend named "default". Choose another name.',
      errors: [{ field: 'name' }],
    };
    await expect(backends.insert(local)).rejects.toMatchObject(refusal);
    await expect(backends.update(other.id, { name: 'default' })).rejects.toMatchObject(refusal);
    expect(await backends.list()).toHaveLength(2);
  });

  test('a volume belongs to one backend, while any number have none', async () => {
    const { backends } = await open();
    await backends.insert({ ...local, volumeId: 'volume' });
    const second = await backends.insert({ ...local, name: 'second' });
    await backends.insert({ ...local, name: 'third', volumeId: null });
    const refusal = {
      code: 'conflict',
      message: expect.stringContaining('The volume volume already belongs'),
    };
    await expect(backends.insert({ ...local, name: 'fourth', volumeId: 'volume' })).rejects.toMatchObject(
      refusal,
    );
    await expect(backends.update(second.id, { volumeId: 'volume' })).rejects.toMatchObject(refusal);
  });

  test('of twenty inserts of one name at once one succeeds', async () => {
    const { backends } = await open();
    const results = await Promise.allSettled(Array.from({ length: 20 }, () => backends.insert(local)));
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(await backends.list()).toHaveLength(1);
  });

  test('removing takes the checksum records and the limited keys along, and nothing else', async () => {
    const { backends, checksums, keys } = await open();
    const [gone, kept] = [await backends.insert(local), await backends.insert({ ...local, name: 'kept' })];
    for (const { id } of [gone, kept]) {
      await checksums.putMany(
        Array.from({ length: 2_100 }, (_, index) => ({
          backendId: id,
          path: `/file-${index}`,
          sha256: 'ab'.repeat(32),
          size: index,
          validator: 'v',
          computedAt: new Date(0),
        })),
      );
      await keys.insert({
        name: id,
        hash: id,
        hint: 'abcd',
        scopes: ['files:read'],
        origin: 'issued',
        backendId: id,
      });
    }
    await keys.insert({ name: 'all', hash: 'all', hint: 'abcd', scopes: ['files:read'], origin: 'issued' });

    expect(await backends.remove(gone.id)).toBe(true);
    expect(await backends.remove(gone.id)).toBe(false);
    expect(await backends.list()).toEqual([kept]);
    expect(await checksums.count(gone.id)).toBe(0);
    expect(await checksums.count(kept.id)).toBe(2_100);
    expect((await keys.list()).map(({ name }) => name).toSorted()).toEqual(['all', kept.id].toSorted());
  });
});
