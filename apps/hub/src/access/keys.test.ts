import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { endpoints } from '@holdfast/contract/endpoints';
import { ADMIN_KEY, startTestHub, type TestHub } from '../testing/test-hub.ts';

const HOUR_MS = 3_600_000;

let hub: TestHub;
beforeAll(async () => {
  hub = await startTestHub();
});
afterAll(() => hub[Symbol.asyncDispose]());
afterEach(() => {
  vi.useRealTimers();
});

async function statusOf(key: string, of: TestHub = hub): Promise<number> {
  return (await of.response(endpoints.getOwnKey, { key })).status;
}

describe('an issued key', () => {
  it('works until it is revoked, and stays in the list', async () => {
    const { id, token } = await hub.issueKey({ name: 'short lived', scopes: ['files:read'] });
    expect(await statusOf(token)).toBe(200);
    const { data: revoked } = await hub.call(endpoints.revokeKey, { params: { id } });
    expect(revoked.revoked_at).not.toBeNull();
    expect(await statusOf(token)).toBe(401);
    const { data: again } = await hub.call(endpoints.revokeKey, { params: { id } });
    expect(again.revoked_at).toBe(revoked.revoked_at);
    const { data: listed } = await hub.call(endpoints.listKeys);
    expect(listed.find((key) => key.id === id)?.revoked_at).toBe(revoked.revoked_at);
  });

  it('shows the machine and the quotas that limit it', async () => {
    const limits = { hostname: 'build-7', quota_bytes: 5_000_000_000, quota_files: 0 };
    const body = { name: 'agent of build-7', scopes: ['files:write'], ...limits };
    const { data } = await hub.call(endpoints.createKey, { body });
    expect(data).toMatchObject(limits);
    const { data: own } = await hub.call(endpoints.getOwnKey, { key: data.token });
    expect(own).toMatchObject(limits);
    const { id } = await hub.issueKey({ name: 'without limits', scopes: ['files:write'] });
    const { data: free } = await hub.call(endpoints.getKey, { params: { id } });
    expect(free).toMatchObject({ hostname: null, quota_bytes: null, quota_files: null });
  });

  it('stops working the moment it expires', async () => {
    const now = Date.now();
    vi.useFakeTimers({ toFake: ['Date'], now });
    const body = {
      name: 'an hour',
      scopes: ['files:read'],
      expires_at: new Date(now + HOUR_MS).toISOString(),
    };
    const { data } = await hub.call(endpoints.createKey, { body });
    vi.setSystemTime(now + HOUR_MS - 1);
    expect(await statusOf(data.token)).toBe(200);
    vi.setSystemTime(now + HOUR_MS);
    const refused = await hub.refusal(endpoints.getOwnKey, { key: data.token });
    expect(refused).toMatchObject({ code: 'unauthenticated', detail: 'The API key "an hour" has expired.' });
  });

  it('notes when it was last used', async () => {
    const { id, token } = await hub.issueKey({ scopes: ['files:read'] });
    const before = await hub.call(endpoints.getKey, { params: { id } });
    expect(before.data.last_used_at).toBeNull();
    await statusOf(token);
    const after = await hub.call(endpoints.getKey, { params: { id } });
    expect(Date.parse(after.data.last_used_at ?? '')).toBeGreaterThanOrEqual(
      Date.parse(after.data.created_at),
    );
  });

  it.each([
    ['a prefix without its backend', { scopes: ['files:read'], path_prefix: '/a' }, 'backend_id'],
    ['a backend that does not exist', { scopes: ['files:read'], backend_id: 'none' }, 'backend_id'],
    ['a scope that reaches past the limit', { scopes: ['boot:write'], backend_id: 'none' }, 'scopes'],
    ['a time that is past', { scopes: ['files:read'], expires_at: '2020-01-01T00:00:00Z' }, 'expires_at'],
    ['no scope', { scopes: [] }, 'scopes'],
    ['an unknown scope', { scopes: ['root'] }, 'scopes.0'],
    ['an unknown field', { scopes: ['files:read'], prefix: '/a' }, 'prefix'],
  ])('is refused with %s, by the name of the field', async (_, fields, field) => {
    const refused = await hub.refusal(endpoints.createKey, { body: { name: 'refused', ...fields } });
    expect(refused.code).toBe('validation_failed');
    expect(refused.errors?.map((problem) => problem.field)).toEqual([field]);
  });

  it('limited to a backend goes with it', async () => {
    const root = `${hub.dataDir}/another`;
    const { row } = await hub.context.backends.create({
      name: 'another',
      type: 'local',
      config: { root },
      create: true,
    });
    const { token } = await hub.issueKey({ scopes: ['files:read'], backend_id: row.id });
    expect(await statusOf(token)).toBe(200);
    await hub.call(endpoints.deleteBackend, { params: { id: row.id } });
    expect(await statusOf(token)).toBe(401);
  });
});

describe('a token', () => {
  it('is shown once, and is in no list, log or database file', async () => {
    const { id, token } = await hub.issueKey({ name: 'secret', scopes: ['admin'] });
    await statusOf(token);
    await hub.request('/api/v1/nothing', { key: token });
    await hub.response(endpoints.createBackend, { key: token, body: { name: 1 } });
    const seen = [
      await (await hub.response(endpoints.listKeys)).text(),
      await (await hub.response(endpoints.getKey, { params: { id } })).text(),
      await (await hub.response(endpoints.getOwnKey, { key: token })).text(),
      await (await hub.response(endpoints.listOperations)).text(),
      hub.logs(),
    ];
    expect(hub.logs()).toContain('validation_failed');
    for (const text of seen) {
      expect(text).not.toContain(token);
      expect(text).not.toContain(ADMIN_KEY);
      expect(text).not.toContain(hashOf(token));
    }
    const files = (await readdir(hub.dataDir)).filter((name) => name.startsWith('holdfast.db'));
    const database = Buffer.concat(
      await Promise.all(files.map((name) => readFile(`${hub.dataDir}/${name}`))),
    );
    expect(database.includes(hashOf(token))).toBe(true);
    expect(database.includes(token)).toBe(false);
    expect(database.includes(ADMIN_KEY)).toBe(false);
  });
});

describe('the last administrator', () => {
  it('cannot be revoked, whoever asks', async () => {
    await using own = await startTestHub({ adminKey: null });
    const admin = own.context.generatedAdminKey ?? '';
    const { data: self } = await own.call(endpoints.getOwnKey, { key: admin });
    const refused = await own.refusal(endpoints.revokeKey, { params: { id: self.id }, key: admin });
    expect(refused).toMatchObject({ code: 'conflict', status: 409 });
    expect(await statusOf(admin, own)).toBe(200);
  });

  it('is kept when two administrators revoke each other at once', async () => {
    await using own = await startTestHub({ adminKey: null });
    const { access, catalog, generatedAdminKey } = own.context;
    const { data: first } = await own.call(endpoints.getOwnKey, { key: generatedAdminKey });
    const body = { name: 'second', scopes: ['admin'] };
    const { data: second } = await own.call(endpoints.createKey, { body, key: generatedAdminKey });
    const outcomes = await Promise.allSettled([access.revoke(first.id), access.revoke(second.id)]);
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
    expect(await catalog.keys.countAdmins(new Date())).toBe(1);
  });

  it('does not count keys that have expired', async () => {
    await using own = await startTestHub({ adminKey: null });
    const admin = own.context.generatedAdminKey ?? '';
    const now = Date.now();
    vi.useFakeTimers({ toFake: ['Date'], now });
    const body = {
      name: 'for an hour',
      scopes: ['admin'],
      expires_at: new Date(now + HOUR_MS).toISOString(),
    };
    await own.call(endpoints.createKey, { body, key: admin });
    vi.setSystemTime(now + HOUR_MS);
    const { data: self } = await own.call(endpoints.getOwnKey, { key: admin });
    expect(await own.refusal(endpoints.revokeKey, { params: { id: self.id }, key: admin })).toMatchObject({
      code: 'conflict',
    });
  });
});

describe('the key of the environment', () => {
  it('is replaced when it changes at a restart', async () => {
    await using own = await startTestHub();
    const next = 'another-administrator-key-0123456789abcdef';
    await own.restart({ adminKey: next });
    expect(await statusOf(ADMIN_KEY, own)).toBe(401);
    const { data } = await own.call(endpoints.listKeys, { key: next });
    expect(data.map(({ origin }) => origin)).toEqual(['environment']);
    await own.restart();
    expect(await statusOf(next, own)).toBe(200);
  });

  it('cannot be revoked while it is set, and can once it is not', async () => {
    await using own = await startTestHub();
    const { token } = await own.issueKey({ scopes: ['admin'] });
    const { data: self } = await own.call(endpoints.getOwnKey);
    const refused = await own.refusal(endpoints.revokeKey, { params: { id: self.id }, key: token });
    expect(refused).toMatchObject({ code: 'conflict' });
    expect(refused.detail).toContain('HOLDFAST_ADMIN_KEY');
    await own.restart({ adminKey: null });
    await own.call(endpoints.revokeKey, { params: { id: self.id }, key: token });
    expect(await statusOf(ADMIN_KEY, own)).toBe(401);
  });
});

describe('a generated administrator key', () => {
  it('is made at the first start alone and is not logged', async () => {
    await using own = await startTestHub({ adminKey: null });
    const generated = own.context.generatedAdminKey ?? '';
    expect(generated).toMatch(/^hf_[\w-]{43}$/);
    expect(await statusOf(generated, own)).toBe(200);
    await own.restart();
    expect(own.context.generatedAdminKey).toBeNull();
    expect(await statusOf(generated, own)).toBe(200);
    expect(own.logs()).not.toContain(generated);
  });
});

function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}
