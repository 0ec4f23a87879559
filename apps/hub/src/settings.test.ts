import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { endpoints } from '@holdfast/contract/endpoints';
import { defaultSettings } from '@holdfast/contract/settings';
import { openEvents } from './testing/event-client.ts';
import { startTestHub, type TestHub } from './testing/test-hub.ts';

let hub: TestHub;
beforeEach(async () => {
  hub = await startTestHub();
});
afterEach(() => hub[Symbol.asyncDispose]());

describe('the settings', () => {
  it('of a first start are the defaults, with the default backend in both roles', async () => {
    const { data } = await hub.call(endpoints.getSettings);
    const id = hub.backendId;
    expect(data).toEqual({
      ...defaultSettings(),
      default_boot_backend_id: id,
      default_ingest_backend_id: id,
    });
  });

  it('change by the field, and stay over a restart', async () => {
    const before = (await hub.call(endpoints.getSettings)).data;
    const { data } = await hub.call(endpoints.updateSettings, { body: { operation_retention_days: 7 } });
    expect(data).toEqual({ ...before, operation_retention_days: 7 });
    await hub.restart();
    expect((await hub.call(endpoints.getSettings)).data).toEqual(data);
  });

  it('tell who listens which fields changed', async () => {
    await using client = await openEvents(hub, { types: 'settings.changed' });
    await hub.call(endpoints.updateSettings, {
      body: { operation_retention_days: 8, default_ingest_backend_id: null },
    });
    const { fields } = await client.firstOf('settings.changed');
    expect(fields.toSorted()).toEqual(['default_ingest_backend_id', 'operation_retention_days']);
  });

  it('apply at once', async () => {
    await hub.upload('/a', 'from the default');
    const { row } = await hub.context.backends.create({
      name: 'other',
      type: 'local',
      config: { root: `${hub.dataDir}/other` },
      create: true,
    });
    const read = async (): Promise<number> => (await hub.request('/api/v1/files/a', { key: null })).status;
    for (let reads = 0; reads < 3; reads++) expect(await read()).toBe(200); // by now from memory
    await hub.call(endpoints.updateSettings, { body: { default_boot_backend_id: row.id } });
    expect(await read()).toBe(404);
    await hub.call(endpoints.updateSettings, { body: { default_boot_backend_id: null } });
    expect(await read()).toBe(503);
    await hub.call(endpoints.updateSettings, { body: { default_boot_backend_id: hub.backendId } });
    expect(await read()).toBe(200);
    await hub.call(endpoints.updateSettings, { body: { anonymous_boot_networks: [] } });
    expect(await read()).toBe(401);
  });

  it.each<[unknown, string[]]>([
    [{ default_boot_backend_id: 'none' }, ['default_boot_backend_id']],
    [{ default_ingest_backend_id: 'none' }, ['default_ingest_backend_id']],
    [{ anonymous_boot_networks: ['10.0.0.0/8', '10.0.0.0'] }, ['anonymous_boot_networks.1']],
    [
      { anonymous_boot_networks: ['10.0.0.0/33', 'fd00::/129'] },
      ['anonymous_boot_networks.0', 'anonymous_boot_networks.1'],
    ],
    [{ anonymous_boot_networks: ['office'] }, ['anonymous_boot_networks.0']],
    [{ anonymous_boot_networks: '10.0.0.0/8' }, ['anonymous_boot_networks']],
    [{ operation_retention_days: 0 }, ['operation_retention_days']],
    [{ operation_retention_days: 1.5 }, ['operation_retention_days']],
    [{ operation_retention_days: null }, ['operation_retention_days']],
    [{ operation_retention_day: 5, colour: 'red' }, ['operation_retention_day', 'colour']],
    [[], ['body']],
  ])('%j is refused by the name of the field, and nothing changes', async (body, fields) => {
    const before = await hub.call(endpoints.getSettings);
    const refused = await hub.refusal(endpoints.updateSettings, { body });
    expect(refused).toMatchObject({ code: 'validation_failed', status: 422 });
    expect(refused.errors?.map(({ field }) => field)).toEqual(fields);
    expect(await hub.call(endpoints.getSettings)).toEqual(before);
  });

  it('that are partly wrong change nothing at all', async () => {
    const body = { operation_retention_days: 5, default_boot_backend_id: 'none' };
    await hub.refusal(endpoints.updateSettings, { body });
    const { data } = await hub.call(endpoints.getSettings);
    expect(data.operation_retention_days).toBe(defaultSettings().operation_retention_days);
  });

  it('without a change stay as they are', async () => {
    const before = await hub.call(endpoints.getSettings);
    expect(await hub.call(endpoints.updateSettings, { body: {} })).toEqual(before);
    expect(await hub.call(endpoints.updateSettings)).toEqual(before);
  });
});
