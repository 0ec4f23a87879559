import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { scopes, type Access, type Endpoint } from '@holdfast/contract/endpoint';
import { endpoints } from '@holdfast/contract/endpoints';
import { requestRaw } from '@holdfast/test-support/raw-http';
import { startTestHub, targetOf, type TestHub } from '../testing/test-hub.ts';

const table = Object.entries<Endpoint>(endpoints);
const ofAccess = (accepts: (access: Access) => boolean): [string, Endpoint][] =>
  table.filter(([, { access }]) => accepts(access));
const closed = ofAccess((access) => access !== 'anonymous' && access !== 'boot');
const boot = ofAccess((access) => access === 'boot');
const scoped = closed.filter(([, { access }]) => access !== 'authenticated');

/** The same for every endpoint: admission is decided before anything of a request is looked at. */
const filled = Object.fromEntries(
  table.flatMap(([, { path }]) =>
    [...path.matchAll(/\{(\w+)\*?\}/g)].map(([, parameter = '']): [string, string] => [parameter, 'none']),
  ),
);

let hub: TestHub;
beforeAll(async () => {
  hub = await startTestHub();
});
afterAll(() => hub[Symbol.asyncDispose]());

async function allowNetworks(networks: string[]): Promise<void> {
  await hub.call(endpoints.updateSettings, { body: { anonymous_boot_networks: networks } });
}

describe('every endpoint', () => {
  it('is one of the kinds tested here', () => {
    expect(closed.length + boot.length).toBeGreaterThan(35);
    expect(
      ofAccess((access) => access === 'anonymous')
        .map(([name]) => name)
        .toSorted(),
    ).toEqual([
      'getDocs',
      'getHealth',
      'getOpenApi',
      'getReadiness',
      'reportInstalled',
      'tusOptions',
      'tusUploadOptions',
    ]);
  });

  it.each(closed)('%s answers 401 without a credential', async (_, endpoint) => {
    const answer = await hub.response(endpoint, { params: filled, key: null });
    expect(answer.status).toBe(401);
    expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer/);
    if (endpoint.method === 'HEAD') return; // an answer to HEAD has no body (RFC 9110 §9.3.2)
    expect(await answer.json()).toMatchObject({ code: 'unauthenticated', status: 401 });
  });

  it.each(closed.filter(([, { method }]) => method === 'GET'))(
    '%s answers 401 to HEAD too',
    async (_, endpoint) => {
      const answer = await hub.request(targetOf(endpoint, filled), { method: 'HEAD', key: null });
      expect(answer.status).toBe(401);
    },
  );

  it.each(scoped)('%s answers 403 to a key with every scope but its own', async (_, endpoint) => {
    const others = scopes.filter((scope) => scope !== endpoint.access && scope !== 'admin');
    const { token } = await hub.issueKey({ scopes: others });
    if (endpoint.method === 'HEAD') {
      expect((await hub.response(endpoint, { params: filled, key: token })).status).toBe(403);
      return;
    }
    const refused = await hub.refusal(endpoint, { params: filled, key: token });
    expect(refused).toMatchObject({ code: 'forbidden', status: 403 });
    expect(refused.detail).toContain(endpoint.access);
  });

  it.each(scoped.filter(([, { access }]) => access !== 'admin'))(
    '%s admits a key with its scope alone',
    async (_, endpoint) => {
      const { token } = await hub.issueKey({ scopes: [endpoint.access] });
      const answer = await hub.response(endpoint, { params: filled, key: token });
      expect([401, 403]).not.toContain(answer.status);
    },
  );

  it.each(closed.filter(([, { access }]) => access === 'authenticated'))(
    '%s admits any key',
    async (_, endpoint) => {
      const { token } = await hub.issueKey({ scopes: ['boot:read'] });
      const answer = await hub.response(endpoint, { params: filled, key: token });
      expect([401, 403]).not.toContain(answer.status);
    },
  );
});

describe('boot paths', () => {
  it.each(boot)('%s needs no key inside anonymous_boot_networks', async (_, endpoint) => {
    await allowNetworks(['10.0.0.0/8', '127.0.0.0/8']);
    const answer = await hub.response(endpoint, {
      params: filled,
      query: { mac: '52:54:00:00:00:01' },
      key: null,
    });
    expect([401, 403]).not.toContain(answer.status);
  });

  it.each([
    ['an empty list', []],
    ['another network', ['203.0.113.0/24', '::1/128']],
  ])('all need a key outside: %s', async (_, networks) => {
    await allowNetworks(networks);
    const query = { mac: '52:54:00:00:00:01' };
    for (const [, endpoint] of boot) {
      const refused = await hub.refusal(endpoint, { params: filled, query, key: null });
      expect(refused).toMatchObject({ code: 'unauthenticated' });
      expect(refused.detail).toContain('anonymous_boot_networks');
      for (const scope of ['boot:read', 'files:read']) {
        const { token } = await hub.issueKey({ scopes: [scope] });
        expect([401, 403]).not.toContain(
          (await hub.response(endpoint, { params: filled, query, key: token })).status,
        );
      }
      const { token } = await hub.issueKey({ scopes: ['backends:read', 'files:write'] });
      expect(await hub.refusal(endpoint, { params: filled, query, key: token })).toMatchObject({
        code: 'forbidden',
      });
    }
  });

  it('refuse a wrong key even inside the networks', async () => {
    await allowNetworks(['127.0.0.0/8']);
    expect(await hub.refusal(endpoints.getFirstScript, { key: 'hf_not-a-key' })).toMatchObject({
      code: 'unauthenticated',
    });
  });

  it('count an IPv4 client on an IPv6 socket as IPv4', async () => {
    await using dual = await startTestHub({ host: '::' });
    const answer = await dual.request('/api/v1/ipxe/boot.ipxe', { key: null });
    expect(answer.status).toBe(200);
    await dual.call(endpoints.updateSettings, { body: { anonymous_boot_networks: ['::/0'] } });
    expect((await dual.request('/api/v1/ipxe/boot.ipxe', { key: null })).status).toBe(200); // [::1]
    const overIpv4 = dual.url.replace('[::1]', '127.0.0.1');
    expect((await fetch(`${overIpv4}/api/v1/ipxe/boot.ipxe`)).status).toBe(401);
    await dual.call(endpoints.updateSettings, { body: { anonymous_boot_networks: ['127.0.0.0/8'] } });
    expect((await fetch(`${overIpv4}/api/v1/ipxe/boot.ipxe`)).status).toBe(200);
  });
});

describe('a credential', () => {
  it.each([
    ['an unknown key', 'Bearer hf_unknown'],
    ['another scheme', 'Basic YWRtaW46YWRtaW4='],
    ['no key after Bearer', 'Bearer '],
    ['two words', 'Bearer one two'],
  ])('that is %s answers 401', async (_, authorization) => {
    const refused = await hub.refusal(endpoints.getOwnKey, { headers: { authorization } });
    expect(refused).toMatchObject({ code: 'unauthenticated', status: 401 });
  });

  it('is taken with any case of the scheme', async () => {
    const { token } = await hub.issueKey({ name: 'lower case', scopes: ['files:read'] });
    const { data } = await hub.call(endpoints.getOwnKey, { headers: { authorization: `bearer ${token}` } });
    expect(data.name).toBe('lower case');
  });

  it('is not taken from the query', async () => {
    const { token } = await hub.issueKey({ scopes: ['files:read'] });
    const answer = await hub.request(
      `/api/v1/keys/self?token=${token}&api_key=${token}&access_token=${token}`,
      { key: null },
    );
    expect(answer.status).toBe(401);
  });

  it('is asked for before a WebSocket is opened', async () => {
    const socket = new WebSocket(`${hub.url.replace(/^http/, 'ws')}/api/v1/events`);
    const [error]: unknown[] = await once(socket, 'error');
    expect(String(error)).toContain('401');
  });

  it('is asked for whatever the spelling of the path', async () => {
    for (const target of [
      '//api/v1/keys',
      '/api/v1/keys/',
      '/API/v1/keys',
      '/api/v1/%6beys',
      '/api/v1/./keys',
      '/api/v1/files/../keys',
    ]) {
      const { status } = await requestRaw(hub.url, 'GET', target);
      expect([401, 404, 422], target).toContain(status);
    }
  });
});
