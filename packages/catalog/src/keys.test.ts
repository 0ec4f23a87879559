import { expect, test } from 'vitest';
import { describeDialects } from './dialect-fixture.ts';
import type { NewApiKey } from './keys.ts';

const reader: NewApiKey = {
  name: 'reader',
  hash: 'h1',
  hint: 'abcd',
  scopes: ['files:read'],
  origin: 'issued',
};

describeDialects(({ open, freshUrl }) => {
  test('a key is read back as it was inserted', async () => {
    const { keys, backends } = await open();
    const backend = await backends.insert({ name: 'b', type: 'local', config: {} });
    const key = await keys.insert({
      ...reader,
      backendId: backend.id,
      pathPrefix: '/x',
      expiresAt: new Date(99),
    });
    expect(key).toMatchObject({
      ...reader,
      backendId: backend.id,
      pathPrefix: '/x',
      expiresAt: new Date(99),
      lastUsedAt: null,
      revokedAt: null,
    });
    expect(await keys.get(key.id)).toEqual(key);
    expect(await keys.getByHash('h1')).toEqual(key);
    expect(await keys.list()).toEqual([key]);
    expect(await keys.get('unknown')).toBeNull();
    expect(await keys.getByHash('unknown')).toBeNull();
  });

  test('a machine and quotas are kept, and the environment has none', async () => {
    const { keys } = await open();
    const limits = { hostname: 'build-7', quotaBytes: 2 ** 53 - 1, quotaFiles: 0 };
    const key = await keys.insert({ ...reader, ...limits });
    expect(key).toMatchObject(limits);
    expect(await keys.getByHash('h1')).toEqual(key);
    expect(await keys.setEnvironmentAdmin('h1', 'abcd')).toMatchObject({
      id: key.id,
      hostname: null,
      quotaBytes: null,
      quotaFiles: null,
    });
    await expect(keys.insert({ ...reader, hash: 'h2', quotaBytes: -1 })).rejects.toMatchObject({
      code: 'invalid_request',
    });
    expect(await keys.usage(key.id)).toEqual({ bytes: 0, files: 0, reservedBytes: 0, reservedFiles: 0 });
  });

  test('a token is one key, and a backend must exist', async () => {
    const { keys } = await open();
    await keys.insert(reader);
    await expect(keys.insert({ ...reader, name: 'again' })).rejects.toMatchObject({ code: 'conflict' });
    await expect(keys.insert({ ...reader, hash: 'h2', backendId: 'none' })).rejects.toMatchObject({
      code: 'backend_not_found',
      errors: [{ field: 'backend_id' }],
    });
  });

  test('the first revocation counts', async () => {
    const { keys } = await open();
    const { id } = await keys.insert(reader);
    expect(await keys.revoke(id, new Date(10))).toMatchObject({ revokedAt: new Date(10) });
    expect(await keys.revoke(id, new Date(20))).toMatchObject({ revokedAt: new Date(10) });
    expect(await keys.revoke('unknown', new Date(10))).toBeNull();
  });

  test('the last use never goes back', async () => {
    const { keys } = await open();
    const { id } = await keys.insert(reader);
    for (const at of [30, 50, 40]) await keys.touch(id, new Date(at));
    expect((await keys.get(id))?.lastUsedAt).toEqual(new Date(50));
    await keys.touch('unknown', new Date(1));
  });

  test('administrators are counted while they work', async () => {
    const { keys } = await open();
    await keys.insert(reader);
    await keys.insert({ ...reader, hash: 'h2', scopes: ['administrate', '"admin"'] });
    expect(await keys.countAdmins(new Date(1_000))).toBe(0);
    await keys.insert({ ...reader, hash: 'h3', scopes: ['files:read', 'admin'], expiresAt: new Date(1_000) });
    expect(await keys.countAdmins(new Date(999))).toBe(1);
    expect(await keys.countAdmins(new Date(1_000))).toBe(0);
    const { id } = await keys.insert({ ...reader, hash: 'h4', scopes: ['admin'], origin: 'generated' });
    expect(await keys.countAdmins(new Date(1_000))).toBe(1);
    await keys.revoke(id, new Date(5));
    expect(await keys.countAdmins(new Date(1_000))).toBe(0);
  });

  test('the environment has one administrator: the newest token', async () => {
    const { keys } = await open();
    const first = await keys.setEnvironmentAdmin('e1', 'aaaa');
    expect(first).toMatchObject({ origin: 'environment', scopes: ['admin'], hint: 'aaaa', revokedAt: null });
    expect(await keys.setEnvironmentAdmin('e1', 'aaaa')).toEqual(first);
    const second = await keys.setEnvironmentAdmin('e2', 'bbbb');
    expect(await keys.list()).toEqual([second]);
    expect(await keys.getByHash('e1')).toBeNull();
  });

  test('a revoked environment token stays revoked until it is another one', async () => {
    const { keys } = await open();
    const { id } = await keys.setEnvironmentAdmin('e1', 'aaaa');
    await keys.revoke(id, new Date(10));
    expect(await keys.setEnvironmentAdmin('e1', 'aaaa')).toMatchObject({ revokedAt: new Date(10) });
    expect(await keys.setEnvironmentAdmin('e2', 'bbbb')).toMatchObject({ revokedAt: null });
  });

  test('a generated token that moves to the environment stays one key', async () => {
    const { keys } = await open();
    await keys.setEnvironmentAdmin('e1', 'aaaa');
    const generated = await keys.insert({ ...reader, hash: 'g1', scopes: ['admin'], origin: 'generated' });
    expect(await keys.setEnvironmentAdmin('g1', 'gggg')).toMatchObject({
      id: generated.id,
      origin: 'environment',
    });
    expect(await keys.list()).toHaveLength(1);
  });

  test('hubs that start at once with the same token, or with two, end with one', async () => {
    const url = await freshUrl();
    const hubs = [await open(url), await open(url)] as const;
    await Promise.all(
      Array.from({ length: 12 }, (_, index) =>
        hubs[index % 2 === 0 ? 0 : 1].keys.setEnvironmentAdmin(`e${index % 3}`, 'aaaa'),
      ),
    );
    expect(await hubs[0].keys.list()).toHaveLength(1);
    expect(await hubs[0].keys.countAdmins(new Date())).toBe(1);
  });
});
