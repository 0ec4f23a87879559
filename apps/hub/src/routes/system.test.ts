import { once } from 'node:events';
import { rename } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { endpoints } from '@holdfast/contract/endpoints';
import { openApiDocument } from '@holdfast/contract/openapi';
import { makeTempDir } from '@holdfast/test-support/temp-dir';
import { takeDataDir } from '../config/data-dir.ts';
import { loadSecrets } from '../config/secrets.ts';
import { createHub } from '../context.ts';
import {
  ADMIN_KEY,
  hubConfig,
  problemOf,
  startTestHub,
  targetOf,
  type TestHub,
} from '../testing/test-hub.ts';
import { version } from '../version.ts';

let hub: TestHub;
beforeAll(async () => {
  hub = await startTestHub();
});
afterAll(() => hub[Symbol.asyncDispose]());

describe('the description of the interface', () => {
  it('is the contract, to anybody', async () => {
    const answer = await hub.request('/openapi.json', { key: null });
    expect(await answer.json()).toEqual(openApiDocument({ version }));
  });

  it('is mounted whole: no endpoint of it answers as an unknown path', async () => {
    for (const endpoint of Object.values(endpoints)) {
      const names = [...endpoint.path.matchAll(/\{(\w+)\*?\}/g)].map(([, name = '']) => name);
      const params = Object.fromEntries(names.map((name) => [name, 'none']));
      const answer = await hub.response(endpoint, { params });
      const type = answer.headers.get('content-type') ?? '';
      const isProblem = type.startsWith('application/problem+json') && endpoint.method !== 'HEAD';
      const code = isProblem ? (await problemOf(answer)).code : undefined;
      const unmounted = ['not_found', 'method_not_allowed', 'internal'];
      expect(unmounted, `${endpoint.method} ${endpoint.path}`).not.toContain(code);
    }
  });

  it('is a page that takes nothing from elsewhere and runs nothing', async () => {
    const answer = await hub.request('/docs', { key: null });
    expect(answer.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(answer.headers.get('content-security-policy')).toContain("default-src 'none'");
    const page = await answer.text();
    expect(page).toMatch(/^<!doctype html>/i);
    expect(page).not.toMatch(/<script|<link|<img|<iframe|@import|url\(/i);
    const references = [...page.matchAll(/(?:href|src)="([^"]*)"/g)].map(([, target]) => target ?? '');
    expect(references.length).toBeGreaterThan(50);
    expect(references.filter((target) => !/^(#|\/(?!\/))/.test(target))).toEqual([]);
  });
});

describe('the state of the hub', () => {
  it('tells version, database and runtime to who has a key', async () => {
    const { data } = await hub.call(endpoints.getSystemInfo);
    expect(data).toMatchObject({
      version,
      database: { type: 'sqlite' },
      runtime: { name: 'node', version: process.version },
    });
    expect(Date.parse(data.started_at)).toBeLessThanOrEqual(Date.now());
  });

  it('is ready while all is well, and names what is not', async () => {
    expect(await hub.call(endpoints.getReadiness, { key: null })).toEqual({
      status: 'ready',
      checks: [
        { name: 'database', ok: true, message: 'answers' },
        { name: 'boot backend', ok: true, message: 'all checks passed' },
        { name: 'shutdown', ok: true, message: 'not under way' },
      ],
    });
    await rename(hub.root, `${hub.root}.away`);
    await hub.call(endpoints.testBackend, { params: { id: hub.backendId } });
    const answer = await hub.response(endpoints.getReadiness, { key: null });
    expect(answer.status).toBe(503);
    expect(await answer.json()).toMatchObject({
      status: 'not_ready',
      checks: [{ ok: true }, { name: 'boot backend', ok: false }, { ok: true }],
    });
    expect((await hub.request('/healthz', { key: null })).status).toBe(200);
    await rename(`${hub.root}.away`, hub.root);
    await hub.call(endpoints.testBackend, { params: { id: hub.backendId } });
  });
});

describe('the metrics', () => {
  async function samples(): Promise<Map<string, number>> {
    const answer = await hub.response(endpoints.getMetrics);
    expect(answer.headers.get('content-type')).toContain('version=0.0.4');
    const lines = (await answer.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    return new Map(
      lines.map((line) => [
        line.slice(0, line.lastIndexOf(' ')),
        Number(line.slice(line.lastIndexOf(' ') + 1)),
      ]),
    );
  }
  const requests = (route: string, method: string, status: number): string =>
    `holdfast_http_requests_total{method="${method}",route="${route}",status="${status}"}`;

  it('need a key', async () => {
    expect(await hub.refusal(endpoints.getMetrics, { key: null })).toMatchObject({ code: 'unauthenticated' });
  });

  it('count requests by route, bytes stored, and bytes sent', async () => {
    const before = await samples();
    await hub.upload('/counted', 'x'.repeat(1000));
    for (let reads = 0; reads < 4; reads++)
      await (await hub.request('/api/v1/files/counted', { key: null })).text();
    await (await hub.request('/api/v1/files/counted', { headers: { range: 'bytes=0-99' } })).text();
    await hub.request('/api/v1/files/missing-1');
    await hub.request('/api/v1/files/missing-2');
    await hub.request('/some/path/of/a/scanner');
    const after = await samples();
    const grown = (name: string): number => (after.get(name) ?? 0) - (before.get(name) ?? 0);
    const route = '/api/v1/files/{path*}';
    expect(grown(requests(endpoints.uploadFile.path, 'POST', 201))).toBe(1);
    expect(grown(requests(route, 'GET', 200))).toBe(4);
    expect(grown(requests(route, 'GET', 206))).toBe(1);
    expect(grown(requests(route, 'GET', 404))).toBe(2);
    expect(grown('holdfast_stored_bytes_total')).toBe(1000);
    expect(grown('holdfast_sent_bytes_total{protocol="http"}')).toBe(4100);
    expect([...after.keys()].filter((name) => name.includes('scanner') || name.includes('missing'))).toEqual(
      [],
    );
  });
});

describe('a hub that shuts down', () => {
  it('lets a running upload end, refuses what is new, and says that it is not ready', async () => {
    await using own = await startTestHub();
    const target = targetOf(endpoints.uploadFile, { id: own.backendId }, { path: '/slow' });
    const headers = { authorization: `Bearer ${ADMIN_KEY}`, 'content-length': '8', expect: '100-continue' };
    const upload = httpRequest(own.url + target, { method: 'POST', headers });
    upload.flushHeaders();
    await once(upload, 'continue');
    upload.write('half');
    const stopped = own.drain();
    await expect(fetch(`${own.url}/api/v1/ipxe/boot.ipxe`)).rejects.toThrow('fetch failed');
    upload.end('half');
    const [answer]: unknown[] = await once(upload, 'response');
    expect(answer).toMatchObject({ statusCode: 201 });
    await stopped;
    await own.restart();
    expect(await (await own.request('/api/v1/files/slow')).text()).toBe('halfhalf');
  });

  it('answers 503 to what still reaches it, /healthz excepted', async () => {
    await using folder = await makeTempDir('draining');
    using dataDir = takeDataDir(folder.path);
    const config = hubConfig({ dataDir: folder.path });
    const logger = pino({ level: 'silent' });
    await using own = await createHub(config, loadSecrets(folder.path, null), dataDir, { logger });
    const url = await own.context.app.listen({ host: '127.0.0.1', port: 0 });
    own.drain();
    const refused = await fetch(`${url}/api/v1/ipxe/boot.ipxe`);
    expect(refused.headers.get('retry-after')).toBe('5');
    expect(refused.headers.get('connection')).toBe('close');
    expect(await problemOf(refused)).toMatchObject({ code: 'shutting_down', status: 503 });
    const ready = await fetch(`${url}/readyz`);
    expect(ready.status).toBe(503);
    expect(await ready.json()).toMatchObject({
      status: 'not_ready',
      checks: [
        { name: 'database', ok: true },
        { name: 'boot backend', ok: true },
        { name: 'shutdown', ok: false },
      ],
    });
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
  });
});
