import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sha256Hex } from '@holdfast/bytes/sha256';
import { endpoints } from '@holdfast/contract/endpoints';
import { startPostgres, type PostgresServer } from '@holdfast/test-support/postgres';
import { openEvents } from './testing/event-client.ts';
import { startTestHub, statusesOf, targetOf, type TestHub } from './testing/test-hub.ts';

/** What every part of the hub needs of its database, on both of them. */
describe.each(['sqlite', 'postgres'] as const)('a hub on %s', (dialect) => {
  let server: PostgresServer | undefined;
  let hub: TestHub;
  let params: { id: string };
  beforeAll(async () => {
    if (dialect === 'postgres') server = await startPostgres();
    hub = await startTestHub(server === undefined ? {} : { databaseUrl: await server.createDatabase() });
    params = { id: hub.backendId };
  });
  afterAll(async () => {
    await hub[Symbol.asyncDispose]();
    await server?.dispose();
  });

  it('tells which database it is', async () => {
    expect((await hub.call(endpoints.getSystemInfo)).data.database.type).toBe(dialect);
  });

  it('keeps files, their checksums and its log over a restart', async () => {
    await hub.upload('/a/é %_', 'kept');
    await hub.call(endpoints.moveFile, { params, body: { source_path: '/a', destination_path: '/b' } });
    await hub.restart();
    const { data } = await hub.call(endpoints.listFiles, { params, query: { path: '/b' } });
    expect(data.files).toMatchObject([{ path: '/b/é %_', checksum_sha256: sha256Hex('kept') }]);
    const log = await hub.call(endpoints.listOperations, { query: { limit: 2 } });
    expect(log.data.map(({ operation }) => operation).toSorted()).toEqual(['metadata_change', 'upload']);
    expect(log.total).toBe(2);
  });

  it('lets one of eight writers win, by If-Match and by If-None-Match', async () => {
    await hub.upload('/raced', 'old');
    const post = (path: string, headers: Record<string, string>): Promise<number[]> => {
      const target = targetOf(endpoints.uploadFile, params, { path });
      const writers = Array.from({ length: 8 }, (_, index) =>
        hub.request(target, { method: 'POST', body: `new ${index}`, headers }),
      );
      return Promise.all(writers).then(statusesOf);
    };
    const losers = Array.from({ length: 7 }, () => 412);
    expect(await post('/raced', { 'if-match': `"sha256:${sha256Hex('old')}"` })).toEqual([200, ...losers]);
    expect(await post('/raced-new', { 'if-none-match': '*' })).toEqual([201, ...losers]);
  });

  it('registers a machine once, and takes its one-time token once', async () => {
    const mac = '52:54:00:12:34:56';
    await Promise.all(
      Array.from({ length: 20 }, () => hub.request(`/api/v1/boot?mac=${mac}`, { key: null })),
    );
    const { data: nodes } = await hub.call(endpoints.listNodes);
    expect(nodes.map((node) => node.mac)).toEqual([mac]);
    const body = {
      name: 'linux',
      install_method: 'kernel',
      kernel_path: '/vmlinuz',
      cmdline: 'token=${node_token}',
    };
    const { data: workflow } = await hub.call(endpoints.createWorkflow, { body });
    const id = nodes[0]?.id ?? '';
    await hub.call(endpoints.updateNode, {
      params: { id },
      body: { state: 'pending', workflow_id: workflow.id },
    });
    const script = await (await hub.request(`/api/v1/boot?mac=${mac}`, { key: null })).text();
    const token = /token=(\w+)/.exec(script)?.[1] ?? '';
    const reports = await Promise.all(
      Array.from({ length: 4 }, () =>
        hub.response(endpoints.reportInstalled, { params: { id }, query: { token }, key: null }),
      ),
    );
    expect(statusesOf(reports)).toEqual([200, 403, 403, 403]);
  });

  it('issues, uses and revokes keys, and keeps the last administrator', async () => {
    const { id, token } = await hub.issueKey({ name: 'reader', scopes: ['files:read'] });
    expect((await hub.call(endpoints.getOwnKey, { key: token })).data.name).toBe('reader');
    await hub.call(endpoints.revokeKey, { params: { id } });
    expect(await hub.refusal(endpoints.getOwnKey, { key: token })).toMatchObject({ code: 'unauthenticated' });
    const { data: self } = await hub.call(endpoints.getOwnKey);
    expect(await hub.refusal(endpoints.revokeKey, { params: { id: self.id } })).toMatchObject({
      code: 'conflict',
    });
  });

  it('refuses a name or a volume that is taken, however many ask at once', async () => {
    const name = 'twice';
    const roots = await Promise.all(
      [0, 1].map(async (index) => {
        const { row } = await hub.context.backends.create({
          name: `own ${index}`,
          type: 'local',
          config: { root: `${hub.dataDir}/own-${index}` },
          create: true,
        });
        await hub.call(endpoints.deleteBackend, { params: { id: row.id } });
        return `${hub.dataDir}/own-${index}`;
      }),
    );
    const answers = await Promise.all(
      roots.map((root) =>
        hub.response(endpoints.createBackend, { body: { name, type: 'local', config: { root } } }),
      ),
    );
    expect(statusesOf(answers)).toEqual([201, 409]);
  });

  it('keeps settings, and tells of their change', async () => {
    await using client = await openEvents(hub, { types: 'settings.changed' });
    await hub.call(endpoints.updateSettings, { body: { operation_retention_days: 5 } });
    expect((await client.firstOf('settings.changed')).fields).toEqual(['operation_retention_days']);
    await hub.restart();
    expect((await hub.call(endpoints.getSettings)).data.operation_retention_days).toBe(5);
  });

  it('verifies and backfills in the background', async () => {
    await hub.upload('/checked', 'checked');
    const { data: verification } = await hub.call(endpoints.verifyFiles, {
      params,
      body: { path: '/', recursive: true },
    });
    expect((await hub.finished(verification.operation_id)).success).toBe(true);
    const { data: backfill } = await hub.call(endpoints.backfillChecksums, { body: {} });
    expect(await hub.finished(backfill.operation_id)).toMatchObject({
      success: true,
      details: { files_missing: 0 },
    });
  });
});
